// Where a server is.
#pragma once

#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace tern::load {

/// http://HOST[:PORT][/PATH] or grpc://HOST:PORT, taken apart.
struct ServerUrl {
  bool grpc = false;
  std::string host, port;  ///< an IPv6 address in its brackets; 80 where HTTP's URL has no port
  std::string path;        ///< HTTP's, without a slash at its end; /v1 where the URL has none
};
/// Throws Error{bad_input}, Error{unsupported} for TLS.
ServerUrl parse_url(const std::string& url);

/// The host's first address. Waits for it. Throws Error{io}.
boost::asio::ip::tcp::endpoint resolve_host(boost::asio::io_context& io, const ServerUrl& url);

}  // namespace tern::load
