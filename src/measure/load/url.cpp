#include "measure/load/url.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "base/error.h"

namespace tern::load {

using boost::asio::ip::tcp;

ServerUrl parse_url(const std::string& url) {
  const auto wrong = [&] {
    fail(ErrorKind::bad_input, "\"{}\": expected http://HOST[:PORT][/PATH] or grpc://HOST:PORT", url);
  };
  if (url.starts_with("https://") || url.starts_with("grpcs://"))
    fail(ErrorKind::unsupported, "\"{}\": TLS is not spoken here; measure the server behind its proxy", url);
  const bool grpc = url.starts_with("grpc://");
  if (!grpc && !url.starts_with("http://")) wrong();
  if (url.find_first_of(" \t\r\n?#@") != std::string::npos) wrong();
  const std::string rest = url.substr(std::string_view("http://").size());  // grpc:// is as long
  const size_t slash = std::min(rest.find('/'), rest.size());
  const std::string authority = rest.substr(0, slash);
  ServerUrl parts{grpc, authority, grpc ? "" : "80", rest.substr(slash)};
  const size_t bracket = authority.find(']');  // of an IPv6 address
  const size_t colon = authority.find(':', bracket == std::string::npos ? 0 : bracket);
  if (colon != std::string::npos) {
    parts.host = authority.substr(0, colon);
    parts.port = authority.substr(colon + 1);
    uint16_t port = 0;
    const char* const end = parts.port.data() + parts.port.size();
    const auto [at, error] = std::from_chars(parts.port.data(), end, port);
    if (error != std::errc{} || at != end || port == 0) wrong();
  }
  while (parts.path.ends_with('/')) parts.path.pop_back();
  if (parts.host.empty() || parts.port.empty() || (grpc && !parts.path.empty())) wrong();
  if (parts.path.empty() && !grpc) parts.path = "/v1";
  return parts;
}

tcp::endpoint resolve_host(boost::asio::io_context& io, const ServerUrl& url) {
  std::string host = url.host;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  boost::system::error_code error;
  const auto found = tcp::resolver(io).resolve(host, url.port, error);
  if (error) fail(ErrorKind::io, "can't find host \"{}\": {}", host, error.message());
  return found.begin()->endpoint();
}

}  // namespace tern::load
