// Where a request may come from: the names it may call this server by, and the web pages that may use it.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

/// The name in a Host header, "EXAMPLE.com.:80" as "example.com"; an IPv6 address keeps its brackets, and
/// every address is written the usual way. Nothing where it is no host (and port) as RFC 3986 has it.
std::optional<std::string> host_name(std::string_view host);

/// For --allow-host: a name or address without a port. Throws Error{bad_input}.
std::string parse_allowed_host(const std::string& text);
/// For --allow-origin: scheme://host[:port] as a browser sends it, no "*", no "null". Throws
/// Error{bad_input}.
std::string parse_allowed_origin(const std::string& text);

class Sources {
 public:
  /// `loopback`: only this machine is listened to, and Host must name it, so that no web page gets here by a
  /// name of its own that it points at 127.0.0.1 (DNS rebinding). Elsewhere Host is checked where `hosts` are
  /// given. `own` is what the server was told to listen on. Throws Error{bad_input}.
  Sources(bool loopback, const std::string& own, const std::vector<std::string>& hosts,
          const std::vector<std::string>& origins);

  /// Throws ApiError: 400 for a Host that is none, 403 for a foreign one or a page that may not use this
  /// server. Pages of the server's own name may.
  void check(std::string_view host, std::string_view origin) const;
  /// The header lines that let a page of `origin` read what is answered; lines that forbid nothing and allow
  /// nothing where it may not. Never "*".
  std::string cors(std::string_view origin) const;
  bool allows(std::string_view origin) const;

 private:
  bool is_ours(const std::string& name) const;
  bool is_own_page(std::string_view host, std::string_view origin) const;
  bool loopback_;
  std::string own_;
  std::set<std::string> hosts_, origins_;
};

}  // namespace tern
