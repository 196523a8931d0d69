// A listening socket, as both doors need one.
#pragma once

#include <cstdint>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

namespace tern {

/// Listens on the first address of host and port that can be had. Throws Error{io} naming both.
boost::asio::ip::tcp::acceptor listen(boost::asio::io_context& io, const std::string& host, uint16_t port);

}  // namespace tern
