#include "tests/measure/load/fake_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace tern::load_test {
namespace {

constexpr int kLookMs = 10;  // how often a waiting peer looks whether the server stops

bool ready(int socket, short events, const std::atomic<bool>& stop) {
  pollfd one{socket, events, 0};
  while (!stop) {
    if (poll(&one, 1, kLookMs) > 0) return true;
  }
  return false;
}

}  // namespace

Peer::~Peer() {
  close();
}

void Peer::close() {
  if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

bool Peer::more() {
  if (socket_ < 0 || !ready(socket_, POLLIN, stop_)) return false;
  char piece[16384];
  const ssize_t size = recv(socket_, piece, sizeof(piece), 0);
  if (size <= 0) return false;
  inbox_.append(piece, static_cast<size_t>(size));
  return true;
}

std::optional<std::string> Peer::request() {
  size_t end;
  while ((end = inbox_.find("\r\n\r\n")) == std::string::npos) {
    if (!more()) return std::nullopt;
  }
  head_ = inbox_.substr(0, end + 4);
  first_line_ = head_.substr(0, head_.find("\r\n"));
  const size_t length = head_.find("Content-Length: ");
  const size_t size =
      length == std::string::npos ? 0 : std::strtoul(head_.c_str() + length + 16, nullptr, 10);
  while (inbox_.size() < end + 4 + size) {
    if (!more()) return std::nullopt;
  }
  std::string body = inbox_.substr(end + 4, size);
  inbox_.erase(0, end + 4 + size);
  return body;
}

bool Peer::send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (socket_ < 0 || !ready(socket_, POLLOUT, stop_)) return false;
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

FakeServer::FakeServer(Script script)
    : script_(std::move(script)), listener_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 256) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error("can't listen");
  port_ = ntohs(address.sin_port);
  acceptor_ = std::thread([this] { accept_all(); });
}

FakeServer::~FakeServer() {
  stop_ = true;
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
  ::close(listener_);
}

std::string FakeServer::url() const {
  return fmt::format("http://127.0.0.1:{}", port_);
}

void FakeServer::accept_all() {
  while (ready(listener_, POLLIN, stop_)) {
    const int socket = accept(listener_, nullptr, nullptr);
    if (socket < 0) continue;
    ++connections_;
    threads_.emplace_back([this, socket] {
      Peer peer(socket, stop_);
      script_(peer);
    });
  }
}

std::string reply(int status, std::string_view body, std::string_view headers) {
  return fmt::format("HTTP/1.1 {} -\r\nContent-Type: application/json\r\n{}Content-Length: {}\r\n\r\n{}",
                     status, headers, body.size(), body);
}

std::string stream_head() {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
}

std::string event(std::string_view json) {
  return fmt::format("{:x}\r\ndata: {}\n\n\r\n", json.size() + 8, json);
}

std::string stream_end() {
  return event("[DONE]") + "0\r\n\r\n";
}

std::string whole_stream(int thinking, int answer, std::string_view finish, std::string_view tern) {
  std::string out = stream_head();
  for (int i = 0; i < thinking; ++i) out += event(R"({"choices":[{"delta":{"reasoning_content":"h"}}]})");
  for (int i = 0; i < answer; ++i) out += event(R"({"choices":[{"delta":{"content":"a"}}]})");
  out += event(fmt::format(R"({{"choices":[{{"delta":{{}},"finish_reason":"{}"{}{}}}]}})", finish,
                           tern.empty() ? "" : ",\"tern\":", tern));
  out += event(fmt::format(R"({{"choices":[],"usage":{{"prompt_tokens":5,"completion_tokens":{},)"
                           R"("completion_tokens_details":{{"reasoning_tokens":{}}}}}}})",
                           thinking + answer, thinking));
  return out + stream_end();
}

}  // namespace tern::load_test
