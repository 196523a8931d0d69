// OpenAI's API over plain HTTP/1.1 sockets: one I/O thread, server-sent events read as they come.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "measure/load/http_reader.h"
#include "measure/load/sse_reader.h"
#include "measure/load/transport.h"
#include "measure/load/url.h"

namespace tern::load {

class HttpTransport : public Transport {
 public:
  HttpTransport(boost::asio::io_context& io, const ServerOptions& options);
  ~HttpTransport() override;
  std::string first_model() override;
  void start(const LoadRequest& request, std::shared_ptr<CallObserver> observer) override;
  void abort_all(const std::string& why) override;

 private:
  class Connection;

  /// Over an idle connection, or a new one. `body`, where not null, gets that of a reply which is no stream.
  void send(std::string bytes, std::shared_ptr<CallObserver> observer, std::string* body);
  void watch();

  boost::asio::io_context& io_;
  ServerOptions options_;
  ServerUrl url_;
  boost::asio::ip::tcp::endpoint endpoint_;
  boost::asio::steady_timer watch_;
  bool watching_ = false;
  std::unordered_set<std::shared_ptr<Connection>> busy_;
  std::vector<std::shared_ptr<Connection>> idle_;  ///< the one used last at the end
};

}  // namespace tern::load
