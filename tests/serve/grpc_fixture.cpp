#include "tests/serve/grpc_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

namespace tern::serve_test {

ServeOptions with_grpc(ServeOptions options) {
  options.grpc_port = 0;
  return options;
}

std::shared_ptr<grpc::Channel> connect(uint16_t port, int receive_buffer) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (receive_buffer > 0) {
    arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, receive_buffer);
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  }
  return grpc::CreateCustomChannel(fmt::format("127.0.0.1:{}", port), grpc::InsecureChannelCredentials(),
                                   arguments);
}

std::string Said::trailer(const std::string& name) const {
  const auto found = trailers.find(name);
  return found == trailers.end() ? "" : found->second;
}

void Said::add(const v1::GenerateEvent& event) {
  text += event.text();
  thinking += event.thinking();
  ids.insert(ids.end(), event.token_ids().begin(), event.token_ids().end());
  ++messages;
  EXPECT_EQ(finish.reason(), v1::FINISH_REASON_UNSPECIFIED) << "nothing follows the last event";
  if (event.has_finish()) finish = event.finish();
}

Stream::Stream(v1::Tern::Stub& stub, const v1::GenerateRequest& request,
               std::optional<std::chrono::milliseconds> timeout) {
  if (timeout) context_.set_deadline(std::chrono::system_clock::now() + *timeout);
  reader_ = stub.Generate(&context_, request);
}

std::optional<v1::GenerateEvent> Stream::next() {
  v1::GenerateEvent event;
  if (!reader_->Read(&event)) return std::nullopt;
  return event;
}

void Stream::tokens(int count) {
  while (count > 0) {
    const auto event = next();
    if (!event) throw std::runtime_error("the stream ended early");
    count -= event->token_ids_size();
  }
}

Said Stream::rest() {
  Said said;
  while (const auto event = next()) said.add(*event);
  said.status = reader_->Finish();
  for (const auto& [name, value] : context_.GetServerTrailingMetadata())
    said.trailers.emplace(std::string(name.data(), name.size()), std::string(value.data(), value.size()));
  return said;
}

v1::GenerateRequest asked(const std::string& text) {
  v1::GenerateRequest request;
  v1::ChatMessage& message = *request.mutable_chat()->add_messages();
  message.set_role("user");
  message.set_content(text);
  return request;
}

Said say(v1::Tern::Stub& stub, const v1::GenerateRequest& request,
         std::optional<std::chrono::milliseconds> timeout) {
  return Stream(stub, request, timeout).rest();
}

namespace {

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// Moves what has come; bytes moved, 0 at the end.
size_t pass(int from, int to) {
  char piece[65536];
  const ssize_t size = recv(from, piece, sizeof(piece), 0);
  if (size <= 0 || ::send(to, piece, static_cast<size_t>(size), MSG_NOSIGNAL) != size) return 0;
  return static_cast<size_t>(size);
}

}  // namespace

Relay::Relay(uint16_t to) : listener_(socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof(address);
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, 1) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0 || pipe(stop_) != 0)
    throw std::runtime_error("no relay");
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this, to] { run(to); });
}

Relay::~Relay() {
  close(stop_[1]);
  thread_.join();
  close(stop_[0]);
  close(listener_);
}

void Relay::run(uint16_t to) {
  const int client = accept(listener_, nullptr, nullptr);
  const int server = socket(AF_INET, SOCK_STREAM, 0);
  const sockaddr_in address = loopback(to);
  bool open = ::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  while (open) {
    pollfd fds[] = {{client, POLLIN, 0}, {server, POLLIN, 0}, {stop_[0], POLLIN, 0}};
    poll(fds, 3, -1);
    if (fds[2].revents) break;
    if (fds[0].revents) open = pass(client, server) > 0;
    if (open && fds[1].revents) {
      const size_t size = pass(server, client);
      returned_ += size;
      open = size > 0;
    }
  }
  close(client);
  close(server);
}

}  // namespace tern::serve_test
