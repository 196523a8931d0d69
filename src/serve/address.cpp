#include "serve/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/error.h"

namespace tern {
namespace {

constexpr std::array<uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::string_view trimmed(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

/// "1.2.3.4", "1.2.3.4:80", "2001:db8::1", "[2001:db8::1]:80", as proxies write them.
std::optional<Address> parse_forwarded(std::string_view text) {
  if (text.starts_with('[')) return parse_address(text.substr(1, std::min(text.find(']'), text.size()) - 1));
  const bool one_colon = std::count(text.begin(), text.end(), ':') == 1;
  return parse_address(one_colon ? text.substr(0, text.find(':')) : text);
}

}  // namespace

bool Address::is_v4() const {
  return std::equal(kMapped.begin(), kMapped.end(), bytes.begin());
}

bool Address::is_loopback() const {
  if (is_v4()) return bytes[12] == 127;
  return bytes == Address{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}.bytes;
}

std::string Address::text() const {
  char buffer[INET6_ADDRSTRLEN];
  const bool v4 = is_v4();
  inet_ntop(v4 ? AF_INET : AF_INET6, bytes.data() + (v4 ? 12 : 0), buffer, sizeof(buffer));
  return buffer;
}

Address Address::group() const {
  if (is_v4() || is_loopback()) return *this;
  Address network = *this;
  std::fill(network.bytes.begin() + 8, network.bytes.end(), 0);
  return network;
}

std::optional<Address> parse_address(std::string_view text) {
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) return std::nullopt;
  Address address;
  if (inet_pton(AF_INET6, terminated.c_str(), address.bytes.data()) == 1) return address;
  std::copy(kMapped.begin(), kMapped.end(), address.bytes.begin());
  if (inet_pton(AF_INET, terminated.c_str(), address.bytes.data() + 12) == 1) return address;
  return std::nullopt;
}

bool Network::has(const Address& other) const {
  for (int bit = 0; bit < bits; bit += 8) {
    const auto mask = static_cast<uint8_t>(bits - bit >= 8 ? 0xff : 0xff << (8 - (bits - bit)));
    if ((address.bytes[bit / 8] & mask) != (other.bytes[bit / 8] & mask)) return false;
  }
  return true;
}

Network parse_network(const std::string& text) {
  const size_t slash = text.find('/');
  const auto address = parse_address(std::string_view(text).substr(0, slash));
  if (!address) fail(ErrorKind::bad_input, "\"{}\": expected an address or a network like 10.0.0.0/8", text);
  Network network{*address, 128};
  if (slash == std::string::npos) return network;
  const int before = address->is_v4() ? 96 : 0;  // the bits that make it IPv4
  int bits = -1;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + slash + 1, end, bits);
  if (error != std::errc() || stop != end || bits < 0 || bits > 128 - before)
    fail(ErrorKind::bad_input, "\"{}\": expected 0 to {} bits after the slash", text, 128 - before);
  network.bits = before + bits;
  return network;
}

bool is_in(const Address& address, std::span<const Network> networks) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const Network& network) { return network.has(address); });
}

Address client_address(const Address& peer, std::string_view forwarded_for,
                       std::span<const Network> trusted) {
  Address client = peer;
  while (is_in(client, trusted)) {
    const size_t comma = forwarded_for.rfind(',');
    const size_t begin = comma == std::string_view::npos ? 0 : comma + 1;
    const auto before = parse_forwarded(trimmed(forwarded_for.substr(begin)));
    if (!before) break;
    client = *before;
    forwarded_for = forwarded_for.substr(0, begin == 0 ? 0 : comma);
  }
  return client;
}

}  // namespace tern
