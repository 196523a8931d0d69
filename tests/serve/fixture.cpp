#include "tests/serve/fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

namespace tern::serve_test {
namespace {

constexpr auto kPatience = 20s;

template <typename Predicate>
bool eventually(Predicate predicate) {
  const auto end = Clock::now() + kPatience;
  while (!predicate()) {
    if (Clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

/// tern's own chat format over single bytes, whose ids are the bytes.

}  // namespace

Tokenizer test_tokenizer() {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) vocabulary.tokens.emplace_back(1, static_cast<char>(byte));
  vocabulary.types.assign(256, TokenType::normal);
  for (const char* name :
       {kBeginToken, kEndToken, kUserToken, kAssistantToken, kThinkToken, kEndThinkToken}) {
    vocabulary.tokens.emplace_back(name);
    vocabulary.types.push_back(TokenType::control);
  }
  vocabulary.bos = 256;
  vocabulary.eos = 257;
  vocabulary.add_bos = true;
  vocabulary.chat_template = kTernChatTemplate;
  return Tokenizer(std::move(vocabulary));
}

fake::Script answer_by_rules(const Tokenizer& tokenizer) {
  const auto id = [&](const char* name) { return *tokenizer.vocabulary().find(name); };
  struct Ids {
    int32_t end, user, assistant, think, end_think;
  };
  const Ids ids{id(kEndToken), id(kUserToken), id(kAssistantToken), id(kThinkToken), id(kEndThinkToken)};
  return [ids](std::span<const int32_t> prefix, std::span<float> logits) {
    const auto last = [&](int32_t token) {
      const auto found = std::find(prefix.rbegin(), prefix.rend(), token);
      return found == prefix.rend() ? -1 : static_cast<int>(prefix.rend() - found) - 1;
    };
    for (float& logit : logits) logit = -50;
    const int assistant = last(ids.assistant);
    if (assistant < 0) {
      logits['a' + prefix.size() % 26] = 0;
      return;
    }
    const int user = last(ids.user);
    const std::vector<int32_t> asked(prefix.begin() + user + 1, prefix.begin() + assistant);
    const std::string text(asked.begin(), asked.end());
    if (text == "broken") fail(ErrorKind::internal, "the model broke");
    std::vector<int32_t> reply{ids.think, 'h', 'm', ids.end_think};
    if (static_cast<size_t>(assistant + 2) < prefix.size() && prefix[assistant + 2] == ids.end_think) {
      reply = {ids.think, ids.end_think};
    }
    const size_t at = prefix.size() - assistant - 1;
    if (at >= reply.size() && text.starts_with("random")) {
      for (int letter = 'a'; letter <= 'z'; ++letter) logits[letter] = 0;
      return;
    }
    if (at >= reply.size() && text.starts_with("long")) {
      logits['x'] = 0;
      return;
    }
    reply.insert(reply.end(), asked.begin(), asked.end());
    logits[at < reply.size() ? reply[at] : ids.end] = 0;
  };
}

TestServer::TestServer(ServeOptions options, EngineOptions engine, int context)
    : TestServer(test_tokenizer(), answer_by_rules(test_tokenizer()), std::move(options), engine, context) {}

TestServer::TestServer(Tokenizer tokenizer, fake::Script script, ServeOptions options, EngineOptions engine,
                       int context) {
  options.port = 0;
  auto model = std::make_unique<fake::FakeModel>(std::move(script), context);
  model->change_shape().vocab = tokenizer.size();
  model->before = [this](std::span<const BatchToken>) { gate_.pass(); };
  engine_ = std::make_unique<Engine>(std::move(model), std::move(tokenizer), engine);
  server_ = std::make_unique<Server>(*engine_, options);
  thread_ = std::thread([this] {
    server_->run();
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  });
}

TestServer::~TestServer() {
  gate_.open();
  server_->stop();
  server_->stop();
  thread_.join();
}

bool TestServer::idle() const {
  return eventually([this] {
    const EngineStatus status = engine_->status();
    return status.running + status.waiting == 0;
  });
}

bool TestServer::ended() {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [this] { return ended_; });
}

std::string Response::header(const std::string& name) const {
  const size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  const size_t begin = at + name.size() + 4;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

Client::Client(uint16_t port, int receive_buffer) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  if (receive_buffer > 0) setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer));
  const timeval patience{std::chrono::seconds(kPatience).count(), 0};
  setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(socket_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close();
    throw std::runtime_error("no connection");
  }
}

void Client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) throw std::runtime_error("can't send");
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

void Client::post(const std::string& path, std::string_view body, std::string_view headers) {
  send(
      fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
                  "application/json\r\n{}Content-Length: {}\r\n\r\n{}",
                  path, headers, body.size(), body));
}

/// Receives what there is; false when the server has closed.
bool Client::more() {
  char piece[16384];
  const ssize_t size = recv(socket_, piece, sizeof(piece), 0);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) throw std::runtime_error("nothing came in time");
  if (size <= 0) return false;
  inbox_.append(piece, static_cast<size_t>(size));
  return true;
}

std::string Client::until(std::string_view mark) {
  size_t at = 0;
  while ((at = inbox_.find(mark)) == std::string::npos) {
    if (!more()) throw std::runtime_error("closed inside of a response: " + inbox_);
  }
  return take(at + mark.size());
}

std::string Client::take(size_t size) {
  while (inbox_.size() < size) {
    if (!more()) throw std::runtime_error("closed inside of a response: " + inbox_);
  }
  std::string taken = inbox_.substr(0, size);
  inbox_.erase(0, size);
  return taken;
}

Response Client::response_head() {
  Response response;
  response.head = until("\r\n\r\n");
  response.status = std::stoi(response.head.substr(9, 3));
  return response;
}

Response Client::response(bool head_only) {
  Response response = response_head();
  const std::string length = response.header("Content-Length");
  if (!head_only && !length.empty()) response.body = take(std::stoul(length));
  return response;
}

std::string Client::chunk() {
  const std::string line = until("\r\n");
  const size_t size = std::stoul(line, nullptr, 16);
  std::string data = take(size);
  EXPECT_EQ(take(2), "\r\n");
  return data;
}

std::optional<std::string> Client::event() {
  const std::string data = chunk();
  if (data.empty()) return std::nullopt;
  EXPECT_TRUE(data.starts_with("data: ") && data.ends_with("\n\n")) << data;
  return data.substr(6, data.size() - 8);
}

std::vector<std::string> Client::events() {
  std::vector<std::string> all;
  while (auto one = event()) all.push_back(*one);
  return all;
}

bool Client::closed() {
  try {
    while (more()) {
    }
    return true;
  } catch (const std::runtime_error&) {
    return false;
  }
}

void Client::end_sending() {
  ::shutdown(socket_, SHUT_WR);
}

void Client::close() {
  if (socket_ >= 0) ::close(std::exchange(socket_, -1));
}

Response post(const TestServer& server, const std::string& path, std::string_view body) {
  Client client(server.port());
  client.post(path, body);
  return client.response();
}

Response chat(const TestServer& server, const Json& body) {
  return post(server, "/v1/chat/completions", body.dump());
}

std::vector<Json> stream(const TestServer& server, const std::string& path, Json body) {
  body["stream"] = true;
  Client client(server.port());
  client.post(path, body.dump());
  const Response head = client.response_head();
  EXPECT_EQ(head.status, 200) << head.head;
  EXPECT_EQ(head.header("Content-Type"), "text/event-stream; charset=utf-8");
  std::vector<std::string> events = client.events();
  std::vector<Json> parsed;
  EXPECT_FALSE(events.empty());
  if (events.empty()) return parsed;
  EXPECT_EQ(events.back(), "[DONE]");
  events.pop_back();
  for (const std::string& event : events) parsed.push_back(Json::parse(event));
  return parsed;
}

void leave_in_the_middle(TestServer& server) {
  server.gate().close();
  {
    Client client(server.port());
    Json body = ask("long");
    body["stream"] = true;
    client.post("/v1/chat/completions", body.dump());
    client.response_head();
    server.gate().grant(3);
    ASSERT_TRUE(client.event());
  }
  std::this_thread::sleep_for(300ms);
  server.gate().open();
}

Json ask(const std::string& text) {
  return {{"messages", Json::array({{{"role", "user"}, {"content", text}}})}};
}

std::string joined(const std::vector<Json>& events, const char* field, int choice) {
  std::string text;
  for (const Json& event : events) {
    for (const Json& one : event["choices"]) {
      if (one["index"] == choice && one["delta"].contains(field))
        text += one["delta"][field].get<std::string>();
    }
  }
  return text;
}

Json last_choice(const std::vector<Json>& events) {
  return events.back()["choices"][0];
}

}  // namespace tern::serve_test
