#include "serve/sources.h"

#include <algorithm>
#include <cctype>

#include "base/error.h"
#include "serve/address.h"
#include "serve/api_error.h"

namespace tern {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return std::tolower(c); });
  return out;
}

bool is_digits(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_name_byte(unsigned char c) {
  return std::isalnum(c) || std::string_view("-._~").find(static_cast<char>(c)) != std::string_view::npos;
}

/// As it stands in a URL.
std::string as_host(const Address& address) {
  return address.is_v4() ? address.text() : "[" + address.text() + "]";
}

/// Host and ":port" apart; the port may be missing.
std::pair<std::string_view, std::string_view> split(std::string_view host) {
  const size_t closing = host.starts_with('[') ? host.find(']') : 0;
  if (closing == std::string_view::npos) return {{}, {}};
  const size_t colon = std::min(host.find(':', closing), host.size());
  return {host.substr(0, colon), host.substr(colon)};
}

/// What stands behind "scheme://", "" without one.
std::string_view authority(std::string_view origin) {
  const size_t at = origin.find("://");
  return at == std::string_view::npos ? std::string_view() : origin.substr(at + 3);
}

}  // namespace

std::optional<std::string> host_name(std::string_view host) {
  auto [name, port] = split(host);
  if (name.empty() || (!port.empty() && (port.size() > 6 || !is_digits(port.substr(1))))) return std::nullopt;
  if (name.starts_with('[')) {
    const auto address = parse_address(name.substr(1, name.size() - 2));
    if (!address || !name.ends_with(']')) return std::nullopt;
    return as_host(*address);
  }
  if (!std::all_of(name.begin(), name.end(), is_name_byte)) return std::nullopt;
  if (name.starts_with('.') || name.find("..") != std::string_view::npos) return std::nullopt;
  if (name.ends_with('.')) name.remove_suffix(1);
  return lower(name);
}

std::string parse_allowed_host(const std::string& text) {
  if (const auto address = parse_address(text)) return as_host(*address);
  const auto name = host_name(text);
  if (!name || !split(text).second.empty())
    fail(ErrorKind::bad_input, "\"{}\": expected a name or an address, without scheme and port", text);
  return *name;
}

std::string parse_allowed_origin(const std::string& text) {
  const std::string_view host = authority(text);
  const std::string_view scheme = std::string_view(text).substr(0, text.size() - host.size());
  const bool plain = scheme.size() > 3 && std::isalpha(static_cast<unsigned char>(scheme[0])) &&
                     std::all_of(scheme.begin(), scheme.end() - 3,
                                 [](unsigned char c) { return std::isalnum(c) || c == '+' || c == '-'; });
  if (!plain || !host_name(host))
    fail(ErrorKind::bad_input, "\"{}\": expected an origin like https://shop.example, without a path", text);
  return lower(text);
}

Sources::Sources(bool loopback, const std::string& own, const std::vector<std::string>& hosts,
                 const std::vector<std::string>& origins)
    : loopback_(loopback) {
  const auto address = parse_address(own);
  own_ = address ? as_host(*address) : host_name(own).value_or("");
  for (const std::string& host : hosts) hosts_.insert(parse_allowed_host(host));
  for (const std::string& origin : origins) origins_.insert(parse_allowed_origin(origin));
}

bool Sources::is_ours(const std::string& name) const {
  if (hosts_.contains(name) || name == "localhost") return true;
  // An address that is this machine can't be rebound. 0.0.0.0 leads here, too, but nobody honest writes it.
  const bool v6 = name.starts_with('[');
  const auto address = parse_address(v6 ? std::string_view(name).substr(1, name.size() - 2) : name);
  return (address && address->is_loopback()) || (loopback_ && name == own_);
}

/// A page that this server (or its proxy, under another scheme) has given out itself.
bool Sources::is_own_page(std::string_view host, std::string_view origin) const {
  const std::string_view page = authority(origin);
  if (page.empty()) return false;
  if (lower(page) == lower(host)) return true;
  const auto name = host_name(page);
  return loopback_ && name && is_ours(*name);
}

void Sources::check(std::string_view host, std::string_view origin) const {
  // Only HTTP/1.0 comes without one, and no browser speaks that.
  if (!host.empty()) {
    const auto name = host_name(host);
    if (!name) throw ApiError(400, "The Host header is no host.");
    if ((loopback_ || !hosts_.empty()) && !is_ours(*name)) {
      throw ApiError(403,
                     fmt::format("Host \"{}\" is not one of this server's names (see --allow-host).", host));
    }
  }
  if (origin.empty() || allows(origin) || is_own_page(host, origin)) return;
  throw ApiError(403, fmt::format("Pages of \"{}\" may not use this server (see --allow-origin).", origin));
}

bool Sources::allows(std::string_view origin) const {
  return !origins_.empty() && origins_.contains(lower(origin));
}

std::string Sources::cors(std::string_view origin) const {
  if (origins_.empty()) return "";
  // The answer depends on who asks, so a cache must not give one page's to another.
  std::string lines = "Vary: Origin\r\n";
  if (allows(origin))
    lines += fmt::format(
        "Access-Control-Allow-Origin: {}\r\n"
        "Access-Control-Expose-Headers: Retry-After, retry-after-ms\r\n",
        origin);
  return lines;
}

}  // namespace tern
