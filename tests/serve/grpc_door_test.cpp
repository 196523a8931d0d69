// The gRPC door itself: health, its end, connections.
#include <grpcpp/generic/generic_stub.h>

#include <future>

#include "tests/serve/grpc_fixture.h"

namespace tern::serve_test {
namespace {

/// What the standard health service says of `service`: 1 SERVING, 2 NOT_SERVING; 0 where it doesn't answer.
int health(const std::shared_ptr<grpc::Channel>& channel, const std::string& service = "") {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + 5s);
  // Message HealthCheckRequest { string service = 1; }, HealthCheckResponse { ServingStatus status = 1; }
  std::string bytes;
  if (!service.empty()) bytes = std::string("\x0a") + static_cast<char>(service.size()) + service;
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer response;
  std::promise<grpc::Status> status;
  grpc::GenericStub stub(channel);
  stub.UnaryCall(&context, "/grpc.health.v1.Health/Check", {}, &request, &response,
                 [&](grpc::Status done) { status.set_value(std::move(done)); });
  grpc::Slice all;
  if (!status.get_future().get().ok() || !response.DumpToSingleSlice(&all).ok() || all.size() != 2) return 0;
  return all.begin()[1];
}

TEST(GrpcHealth, ServesUntilItDrains) {
  Grpc grpc;
  const auto channel = connect(grpc.server.server().grpc_port());
  EXPECT_EQ(health(channel), 1);
  EXPECT_EQ(health(channel, "tern.v1.Tern"), 1);
  EXPECT_EQ(health(channel, "other"), 0);
  grpc.server.gate().close();
  Stream running(*grpc.stub, asked("hello"));
  running.accepted();
  grpc.server.server().stop();
  std::this_thread::sleep_for(200ms);  // for it to begin
  EXPECT_EQ(health(channel), 2);
  const Said late = say(*grpc.stub, asked("late"));
  EXPECT_EQ(late.status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(late.trailer("tern-error-code"), "shutting_down");
  grpc.server.gate().open();
  const Said said = running.rest();
  EXPECT_TRUE(said.status.ok()) << said.status.error_message();
  EXPECT_EQ(said.text, "hello") << "what runs is finished";
  EXPECT_TRUE(grpc.server.ended());
}

TEST(GrpcHealth, TellsOfAStall) {
  ServeOptions options;
  options.stalled_after = 50ms;
  Grpc grpc(options);
  const auto channel = connect(grpc.server.server().grpc_port());
  grpc.server.gate().close();
  Stream stuck(*grpc.stub, asked("hello"));
  stuck.accepted();
  std::this_thread::sleep_for(1500ms);  // it looks once a second
  EXPECT_EQ(health(channel), 2);
  grpc.server.gate().open();
  EXPECT_EQ(stuck.rest().text, "hello");
  std::this_thread::sleep_for(1500ms);
  EXPECT_EQ(health(channel), 1);
}

TEST(GrpcDrain, TheSecondStopEndsAtOnce) {
  Grpc grpc;
  grpc.server.gate().close();
  Stream running(*grpc.stub, asked("long"));
  running.accepted();
  grpc.server.server().stop();
  grpc.server.server().stop();
  EXPECT_TRUE(grpc.server.ended());
  EXPECT_FALSE(running.rest().status.ok());
  grpc.server.gate().open();
  EXPECT_TRUE(grpc.server.idle());
}

TEST(GrpcDrain, AnIdleServerStopsAtOnce) {
  Grpc grpc;
  EXPECT_EQ(say(*grpc.stub, asked("hello")).text, "hello");
  const TimePoint start = Clock::now();
  grpc.server.server().stop();
  EXPECT_TRUE(grpc.server.ended());
  EXPECT_LT(seconds_since(start), 5);
}

// ---- Connections

TEST(GrpcConnections, NoMoreThanAllowedAndThoseThatEndMakeRoom) {
  ServeOptions options;
  options.max_connections = 2;
  TestServer server(with_grpc(options));
  const uint16_t port = server.server().grpc_port();
  const auto ready = [](const std::shared_ptr<grpc::Channel>& channel, std::chrono::milliseconds patience) {
    channel->GetState(true);
    return channel->WaitForConnected(std::chrono::system_clock::now() + patience);
  };
  auto first = connect(port), second = connect(port), third = connect(port);
  EXPECT_TRUE(ready(first, 10s));
  EXPECT_TRUE(ready(second, 10s));
  EXPECT_FALSE(ready(third, 300ms));
  first.reset();
  EXPECT_TRUE(ready(third, 10s));
}

TEST(GrpcConnections, APortThatIsTakenIsSaid) {
  TestServer first(with_grpc());
  ServeOptions options;
  options.grpc_port = first.server().grpc_port();
  EXPECT_THROW(TestServer second(options), Error);
}

TEST(GrpcConnections, BytesThatAreNoHttp2AreSentAway) {
  TestServer server(with_grpc());
  for (const std::string bytes : {"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "\x16\x03\x01\x02\x01\x01"}) {
    Client client(server.server().grpc_port());
    client.send(bytes + std::string(64, '\0'));
    EXPECT_TRUE(client.closed());
  }
  const auto stub = v1::Tern::NewStub(connect(server.server().grpc_port()));
  EXPECT_EQ(say(*stub, asked("hello")).text, "hello");
}

}  // namespace
}  // namespace tern::serve_test
