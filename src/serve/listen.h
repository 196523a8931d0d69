// A listening socket, as both doors need one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace tern {

/// The addresses of a host. Throws Error{io} naming it.
std::vector<boost::asio::ip::tcp::endpoint> resolve(boost::asio::io_context& io, const std::string& host,
                                                    uint16_t port);

/// Listens on the first of them that can be had. Throws Error{io} naming host and port.
boost::asio::ip::tcp::acceptor listen(boost::asio::io_context& io,
                                      const std::vector<boost::asio::ip::tcp::endpoint>& endpoints,
                                      const std::string& host, uint16_t port);

}  // namespace tern
