// Addresses of clients: IPv4 and IPv6 as one kind, networks, and who stands behind a proxy.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tern {

/// IPv6; IPv4 as ::ffff:a.b.c.d, so that a client is the same whichever socket it came by.
struct Address {
  std::array<uint8_t, 16> bytes{};
  bool is_v4() const;
  bool is_loopback() const;  ///< 127.0.0.0/8 and ::1
  /// "10.0.0.1" or "2001:db8::1"
  std::string text() const;
  /// Whose limits it shares: itself; of IPv6 the network of 64 bits, which one client has to itself.
  Address group() const;
  bool operator==(const Address&) const = default;
};

/// Without brackets and port; nothing where it is no address.
std::optional<Address> parse_address(std::string_view text);

struct Network {
  Address address;
  int bits = 128;  ///< of the 128
  bool has(const Address& other) const;
};

/// "10.0.0.0/8", "::1". Throws Error{bad_input}.
Network parse_network(const std::string& text);

bool is_in(const Address& address, std::span<const Network> networks);

/// Who asks: the peer; where that is a trusted proxy, the last address of X-Forwarded-For that is none (each
/// proxy appends whom it saw, so what stands before the last untrusted one is the client's own claim).
Address client_address(const Address& peer, std::string_view forwarded_for, std::span<const Network> trusted);

}  // namespace tern

template <>
struct std::hash<tern::Address> {
  size_t operator()(const tern::Address& address) const {
    return std::hash<std::string_view>()(
        {reinterpret_cast<const char*>(address.bytes.data()), address.bytes.size()});
  }
};
