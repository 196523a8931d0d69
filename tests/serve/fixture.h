// A server in this process in front of a model that answers by rules, and a client that speaks bytes.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/engine.h"
#include "serve/server.h"
#include "tests/engine/fakes.h"
#include "text/chat.h"

namespace tern::serve_test {

using Json = nlohmann::json;
using namespace std::chrono_literals;

/// Lets the model's steps through: all of them, or as many as were granted.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_ || granted_ > 0; });
    if (!open_) --granted_;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    open_ = false;
    granted_ = 0;
  }
  void grant(int steps) {
    const std::lock_guard lock(mutex_);
    granted_ += steps;
    changed_.notify_all();
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = true;
  int granted_ = 0;
};

/// The bytes and tern's own markers.
Tokenizer test_tokenizer();

/// What the model says, by the last user's text: thinks "hm", then answers
///   "long …": x without end; "random …": letters by chance without end; "broken": the step fails; else the
///   text itself.
/// Without an assistant's turn it goes on with letters without end.
fake::Script answer_by_rules(const Tokenizer& tokenizer);

/// An engine with that model and a server on a port of its own, served by its own thread.
class TestServer {
 public:
  explicit TestServer(ServeOptions options = {}, EngineOptions engine = {}, int context = 512);
  /// In front of another model.
  TestServer(Tokenizer tokenizer, fake::Script script, ServeOptions options = {}, EngineOptions engine = {},
             int context = 512);
  ~TestServer();

  uint16_t port() const { return server_->port(); }
  Engine& engine() { return *engine_; }
  Server& server() { return *server_; }
  Gate& gate() { return gate_; }
  /// Waits until the engine has nothing to do; false after twenty seconds.
  bool idle() const;
  /// Waits until run() has returned; false after twenty seconds.
  bool ended();

 private:
  Gate gate_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Server> server_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  std::thread thread_;
};

struct Response {
  int status = 0;
  std::string head, body;
  Json json() const { return Json::parse(body); }
  /// A header's value, "" without one. `name` in the case it is sent in.
  std::string header(const std::string& name) const;
};

/// A blocking socket. What takes longer than twenty seconds throws.
class Client {
 public:
  explicit Client(uint16_t port, int receive_buffer = 0);
  Client(Client&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), inbox_(std::move(other.inbox_)) {}
  ~Client() { close(); }

  void send(std::string_view bytes);
  void post(const std::string& path, std::string_view body, std::string_view headers = "");
  void get(const std::string& path) { send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"); }
  /// The next response, whole; `head_only` for answers to HEAD.
  Response response(bool head_only = false);
  /// Only its head; the body is then read by event().
  Response response_head();
  /// The data of the next server-sent event of a chunked stream; nothing at its end.
  std::optional<std::string> event();
  std::vector<std::string> events();
  /// Whether the server closed the connection (waits for that up to twenty seconds).
  bool closed();
  void end_sending();
  void close();

 private:
  std::string until(std::string_view mark);
  std::string take(size_t size);
  bool more();
  std::string chunk();

  int socket_ = -1;
  std::string inbox_;
};

/// One request on a connection of its own.
Response post(const TestServer& server, const std::string& path, std::string_view body);
Response chat(const TestServer& server, const Json& body);
/// A stream's events but "[DONE]", which must be the last.
std::vector<Json> stream(const TestServer& server, const std::string& path, Json body);
/// A client that leaves after the first events of an answer without end; the server has noticed when the
/// model goes on.
void leave_in_the_middle(TestServer& server);
/// {"messages": [{user, text}]}
Json ask(const std::string& text);
/// All of one delta field over a stream's events of one choice.
std::string joined(const std::vector<Json>& events, const char* field, int choice = 0);
Json last_choice(const std::vector<Json>& events);

}  // namespace tern::serve_test
