// A server that follows a script, good or bad, for the load generator to be measured against.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace tern::load_test {

/// One accepted socket. Reads and writes give up once the server stops.
class Peer {
 public:
  Peer(int socket, const std::atomic<bool>& stop) : socket_(socket), stop_(stop) {}
  ~Peer();

  /// The next request's body, with its first line kept; nothing once the client has gone.
  std::optional<std::string> request();
  const std::string& first_line() const { return first_line_; }
  const std::string& head() const { return head_; }
  /// False once the client has gone.
  bool send(std::string_view bytes);
  void close();

 private:
  bool more();

  int socket_;
  const std::atomic<bool>& stop_;
  std::string inbox_, head_, first_line_;
};

/// Listens on 127.0.0.1; each connection runs the script on a thread of its own.
class FakeServer {
 public:
  using Script = std::function<void(Peer&)>;
  explicit FakeServer(Script script);
  ~FakeServer();

  std::string url() const;
  int connections() const { return connections_; }

 private:
  void accept_all();

  Script script_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<bool> stop_ = false;
  std::atomic<int> connections_ = 0;
  std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

/// A whole reply with Content-Length.
std::string reply(int status, std::string_view body, std::string_view headers = "");
/// A chunked stream's head; one event as a chunk; "[DONE]" and the end.
std::string stream_head();
std::string event(std::string_view json);
std::string stream_end();
/// A stream that thinks `thinking` tokens and answers `answer`, with a usage. `tern`: of its last choice, may
/// be empty.
std::string whole_stream(int thinking, int answer, std::string_view finish = "stop",
                         std::string_view tern = "");

}  // namespace tern::load_test
