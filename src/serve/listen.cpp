#include "serve/listen.h"

#include "base/error.h"

namespace tern {

using boost::asio::ip::tcp;

std::vector<tcp::endpoint> resolve(boost::asio::io_context& io, const std::string& host, uint16_t port) {
  boost::system::error_code error;
  tcp::resolver resolver(io);
  const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error) fail(ErrorKind::io, "can't find host \"{}\": {}", host, error.message());
  return {found.begin(), found.end()};
}

tcp::acceptor listen(boost::asio::io_context& io, const std::vector<tcp::endpoint>& endpoints,
                     const std::string& host, uint16_t port) {
  boost::system::error_code error;
  for (const tcp::endpoint& endpoint : endpoints) {
    try {
      return tcp::acceptor(io, endpoint, true);
    } catch (const boost::system::system_error& failed) {
      error = failed.code();
    }
  }
  fail(ErrorKind::io, "can't listen on {} port {}: {}", host, port, error.message());
}

}  // namespace tern
