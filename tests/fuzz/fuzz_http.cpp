// Any bytes in any cuts into a connection in front of a service and an engine that answers at once: what
// comes back is whole HTTP responses, and when the client has gone nothing is left. The first byte of an
// input chooses the server (keys and pages, or neither), the second the cuts.
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/rng.h"
#include "serve/connection.h"
#include "tests/engine/fakes.h"
#include "tests/fuzz/require.h"
#include "tests/temporary_folder.h"
#include "text/chat.h"

namespace tern {
namespace {

namespace asio = boost::asio;

/// A few letters, then the end.
fake::Script few_letters() {
  return [](std::span<const int32_t> prefix, std::span<float> logits) {
    for (float& logit : logits) logit = -50;
    logits[prefix.size() % 5 == 0 ? static_cast<int32_t>(fake::kEos) : 'a'] = 0;
  };
}

Engine& engine() {
  static Engine one = [] {
    Vocabulary vocabulary = fake::vocabulary();
    vocabulary.chat_template = kTernChatTemplate;
    auto model = std::make_unique<fake::FakeModel>(few_letters(), 64);
    return Engine(std::move(model), Tokenizer(std::move(vocabulary)), EngineOptions());
  }();
  return one;
}

ServeOptions make_options(bool guarded) {
  static const TemporaryFolder folder;
  ServeOptions options;
  options.header_limit = 1 << 10;
  options.body_limit = 2 << 10;
  options.max_choices = 8;
  if (!guarded) return options;
  options.key_file = folder / "keys";
  write_file(options.key_file, key_line("key", {"name", {}}));
  options.allowed_origins = {"https://a.b"};
  options.trusted_proxies = {"0.0.0.0/0"};
  return options;
}

const ServeOptions& options(bool guarded) {
  static const ServeOptions both[] = {make_options(false), make_options(true)};
  return both[guarded];
}

Guard& guard(bool guarded) {
  static Guard open(options(false), true), keyed(options(true), true);
  return guarded ? keyed : open;
}

/// One connection and its client.
class Session {
 public:
  explicit Session(bool guarded) : options_(options(guarded)), guard_(guard(guarded)) {
    std::array<int, 2> ends;
    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends.data()) == 0, "a pair of sockets");
    client_ = ends[1];
    asio::ip::tcp::socket socket(io_);
    socket.assign(asio::ip::tcp::v4(), ends[0]);
    const auto connection = std::make_shared<Connection>(std::move(socket), *parse_address("9.9.9.9"), hub_);
    gone_ = connection;
    hub_.connections.insert(connection);
    connection->start();
  }
  ~Session() {
    mailbox_->close();
    close(client_);
  }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(client_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno == EPIPE) return;
      if (sent > 0) bytes.remove_prefix(static_cast<size_t>(sent));
      turn();
    }
  }

  /// Lets everything happen that has begun.
  void settle() {
    while (turn() || busy()) std::this_thread::yield();
    turn();
  }

  /// The client has sent all and leaves; gives all that it was told.
  std::string end() {
    settle();
    shutdown(client_, SHUT_WR);
    settle();
    require(hub_.connections.empty() && gone_.expired(), "a connection ends with its client");
    require(hub_.arriving == 0, "no bytes are held for who has gone");
    return std::move(said_);
  }

 private:
  bool busy() const {
    const EngineStatus status = engine().status();
    return status.running + status.waiting > 0;
  }
  bool turn() {
    const bool moved = io_.poll() > 0;
    std::array<char, 4096> piece;
    ssize_t size;
    while ((size = recv(client_, piece.data(), piece.size(), 0)) > 0)
      said_.append(piece.data(), static_cast<size_t>(size));
    return moved;
  }

  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_ = asio::make_work_guard(io_);
  const ServeOptions& options_;
  Guard& guard_;
  std::shared_ptr<Mailbox> mailbox_ = make_mailbox(io_);
  Service service_{engine(), options_, mailbox_, guard_};
  Hub hub_{io_, options_, service_, [](const Address&) {}, false, 0, {}};
  std::weak_ptr<Connection> gone_;
  int client_ = -1;
  std::string said_;
};

std::string_view header(std::string_view head, std::string_view name) {
  const size_t at = head.find(name);
  if (at == std::string_view::npos) return {};
  head.remove_prefix(at + name.size());
  return head.substr(0, head.find("\r\n"));
}

/// The bytes that the chunks at the front take.
size_t chunks(std::string_view text) {
  size_t at = 0;
  while (true) {
    const size_t line = text.find("\r\n", at);
    require(line != std::string_view::npos && line > at, "a chunk's head is whole");
    const size_t size = std::stoul(std::string(text.substr(at, line - at)), nullptr, 16);
    at = line + 2 + size + 2;
    require(at <= text.size() && text.substr(at - 2, 2) == "\r\n", "a chunk is whole");
    if (size == 0) return at;
  }
}

/// The bytes of a body behind this head. Answers to HEAD have none, whatever their length says.
size_t body_size(std::string_view head, std::string_view rest) {
  const std::string_view status = head.substr(9, 3);
  if (status == "100" || status == "204") return 0;
  if (!header(head, "\r\nTransfer-Encoding: ").empty()) return chunks(rest);
  const std::string length(header(head, "\r\nContent-Length: "));
  if (length.empty()) return rest.size();  // to the connection's end, for HTTP/1.0
  const size_t size = std::stoul(length);
  if (size > 0 && (rest.empty() || rest.starts_with("HTTP/1.1 "))) return 0;
  require(rest.size() >= size, "a body is whole");
  const bool json = header(head, "\r\nContent-Type: ") == "application/json";
  require(!json || nlohmann::json::accept(rest.substr(0, size)), "JSON is JSON");
  return size;
}

void check_responses(std::string_view said) {
  while (!said.empty()) {
    const size_t end = said.find("\r\n\r\n");
    require(said.starts_with("HTTP/1.1 ") && end != std::string_view::npos, "a head is whole");
    const std::string_view head = said.substr(0, end + 2);
    require(head[9] >= '1' && head[9] <= '5' && head[12] == ' ', "a status has three digits");
    said.remove_prefix(end + 4);
    said.remove_prefix(body_size(head, said));
  }
}

}  // namespace
}  // namespace tern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  tern::Session session(data[0] & 1);
  tern::Rng random(data[1]);
  while (!bytes.empty()) {
    const size_t most = data[1] == 0 ? bytes.size() : 1 + random.below(data[1]);
    session.send(bytes.substr(0, most));
    bytes.remove_prefix(std::min(most, bytes.size()));
  }
  tern::check_responses(session.end());
  return 0;
}
