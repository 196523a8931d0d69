// A gRPC client for tests, and a relay that counts what passes.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <tern/v1/tern.grpc.pb.h>

#include "tests/serve/fixture.h"

namespace tern::serve_test {

/// With a gRPC door on any free port.
ServeOptions with_grpc(ServeOptions options = {});

/// A channel of its own: channels to one address share their connection otherwise. receive_buffer: bytes of a
/// stream that the client takes ahead, 0: gRPC's default.
std::shared_ptr<grpc::Channel> connect(uint16_t port, int receive_buffer = 0);

/// What a whole stream said.
struct Said {
  std::string text, thinking;
  std::vector<uint32_t> ids;
  int messages = 0;
  v1::Finish finish;
  grpc::Status status;
  std::string trailer(const std::string& name) const;

  std::multimap<std::string, std::string> trailers;
  void add(const v1::GenerateEvent& event);
};

/// A Generate call under way.
class Stream {
 public:
  Stream(v1::Tern::Stub& stub, const v1::GenerateRequest& request,
         std::optional<std::chrono::milliseconds> timeout = {});
  /// Waits for the response's headers.
  void accepted() { reader_->WaitForInitialMetadata(); }
  std::optional<v1::GenerateEvent> next();
  /// Reads so many tokens, in however many events.
  void tokens(int count);
  /// All the rest.
  Said rest();
  void cancel() { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<v1::GenerateEvent>> reader_;
};

v1::GenerateRequest asked(const std::string& text);
Said say(v1::Tern::Stub& stub, const v1::GenerateRequest& request,
         std::optional<std::chrono::milliseconds> timeout = {});

/// A server and a client of its gRPC door.
struct Grpc {
  explicit Grpc(ServeOptions options = {}, EngineOptions engine = {}, int context = 512,
                int receive_buffer = 0)
      : server(with_grpc(std::move(options)), engine, context),
        stub(v1::Tern::NewStub(connect(server.server().grpc_port(), receive_buffer))) {}

  TestServer server;
  std::unique_ptr<v1::Tern::Stub> stub;
};

/// Passes the bytes of one TCP connection between its own port and another, and counts those that come back.
class Relay {
 public:
  explicit Relay(uint16_t to);
  ~Relay();
  uint16_t port() const { return port_; }
  size_t returned() const { return returned_; }

 private:
  void run(uint16_t to);

  int listener_ = -1, stop_[2] = {-1, -1};
  uint16_t port_ = 0;
  std::atomic<size_t> returned_ = 0;
  std::thread thread_;
};

}  // namespace tern::serve_test
