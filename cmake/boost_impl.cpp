// The one file that compiles Boost.Asio and Boost.Beast; see boost.cmake.
#include <boost/asio/impl/src.hpp>
#include <boost/beast/src.hpp>
