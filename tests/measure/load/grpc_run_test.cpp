// Whole loads over tern's own gRPC, against its real door.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <thread>

#include "base/atomic_file.h"
#include "measure/load/report.h"
#include "measure/load/run.h"
#include "serve/keys.h"
#include "tests/expect_error.h"
#include "tests/serve/grpc_fixture.h"
#include "tests/temporary_folder.h"

namespace tern::load {
namespace {

using namespace serve_test;

LoadOptions options_for(uint16_t port) {
  LoadOptions options;
  options.server.url = "grpc://127.0.0.1:" + std::to_string(port);
  options.server.timeout_s = 20;
  options.request.prompts = {"hello", "red shoes"};
  options.duration_s = 0;
  return options;
}

LoadOptions options_for(TestServer& server) {
  return options_for(server.server().grpc_port());
}

TEST(GrpcLoad, MeasuresWhatHttpMeasures) {
  TestServer server(with_grpc());
  LoadOptions options = options_for(server);
  options.concurrency = 4;
  options.requests = 40;
  for (const bool chat : {true, false}) {
    options.request.chat = chat;
    if (!chat) options.request.max_tokens = 12;
    options.server.url = "http://127.0.0.1:" + std::to_string(server.port());
    const LoadReport http = run_load(options);
    options.server.url = "grpc://127.0.0.1:" + std::to_string(server.server().grpc_port());
    const LoadReport report = run_load(options);
    ASSERT_EQ(report.done, 40u) << to_text(report);
    EXPECT_EQ(report.complete, 40u);
    EXPECT_EQ(report.failed, 0u);
    EXPECT_EQ(report.estimated, 0u);
    EXPECT_EQ(report.server_said, 0u);
    EXPECT_EQ(report.tokens, http.tokens);
    EXPECT_EQ(report.reasoning_tokens, http.reasoning_tokens);
    EXPECT_EQ(report.prompt_tokens, http.prompt_tokens);
    EXPECT_EQ(report.ttfb.count(), 40u);
    EXPECT_EQ(report.ttfa.count(), 40u);
    EXPECT_GT(report.client_cpu_s, 0);
    EXPECT_LE(report.ttfb.quantile(0.5), report.ttft.quantile(0.5));
    EXPECT_LE(report.ttft.quantile(0.5), report.ttfa.quantile(0.5));
    EXPECT_LE(report.ttfa.quantile(0.5), report.e2e.quantile(0.5));
  }
}

TEST(GrpcLoad, RefusalsAreCountedAndWaitedFor) {
  ServeOptions serve;
  serve.max_choices = 1;
  TestServer server(with_grpc(serve));
  server.gate().close();
  LoadOptions options = options_for(server);
  options.concurrency = 2;
  options.duration_s = 0.6;
  std::thread opener([&] {
    std::this_thread::sleep_for(300ms);
    server.gate().open();
  });
  const LoadReport report = run_load(options);
  opener.join();
  EXPECT_EQ(report.failed, 0u) << to_text(report);
  EXPECT_EQ(report.refused, 1u) << "it is told to wait for a second";
  EXPECT_EQ(report.refusal.count(), 1u);
  EXPECT_GE(report.done, 1u);
}

TEST(GrpcLoad, AServerThatShutsDownRefuses) {
  TestServer server(with_grpc());
  server.gate().close();
  LoadOptions options = options_for(server);
  options.trace.resize(2);
  options.trace[1].at_s = 0.6;
  std::thread stopper([&] {
    std::this_thread::sleep_for(300ms);
    server.server().stop();
    std::this_thread::sleep_for(600ms);
    server.gate().open();
  });
  const LoadReport report = run_load(options);
  stopper.join();
  EXPECT_EQ(report.done, 1u) << to_text(report);
  EXPECT_EQ(report.refused, 1u) << to_text(report);
}

TEST(GrpcLoad, DeadlinesAreTheCallsOwn) {
  EngineOptions engine;
  engine.calibration_s = 0.02;
  TestServer server(with_grpc(), engine);
  LoadOptions options = options_for(server);
  options.requests = 5;
  options.request.deadline_ms = {15000, 15000};
  LoadReport report = run_load(options);
  EXPECT_EQ(report.on_time, 5u) << to_text(report);
  EXPECT_EQ(report.with_deadline, 5u);
  EXPECT_EQ(report.server_said, 5u);
  EXPECT_EQ(report.server_on_time, 5u);

  server.gate().close();
  options.requests = options.concurrency = 2;
  options.request.deadline_ms = {200, 200};
  options.request.late = "best_effort";
  report = run_load(options);
  EXPECT_EQ(report.late, 2u) << to_text(report);
  EXPECT_EQ(report.failed, 0u);
  EXPECT_EQ(report.complete, 0u);
  EXPECT_EQ(report.ttft.count(), 0u);
  EXPECT_GE(report.e2e.min(), 0.19);
  server.gate().open();
  EXPECT_TRUE(server.idle());
}

TEST(GrpcLoad, ADeadlineBeforeTheServerIsThereHasNoFirstByte) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);  // accepts, and says nothing
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener, 5), 0);
  ASSERT_EQ(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  LoadOptions options = options_for(ntohs(address.sin_port));
  options.request.model = "m";
  options.requests = 1;
  options.request.deadline_ms = {100, 100};
  const LoadReport report = run_load(options);
  EXPECT_EQ(report.late, 1u) << to_text(report);
  EXPECT_EQ(report.ttfb.count(), 0u);
  close(listener);
}

TEST(GrpcLoad, WhatTakesTooLongIsCancelled) {
  TestServer server(with_grpc());
  server.gate().close();
  LoadOptions options = options_for(server);
  options.request.model = "tern";
  options.request.prompts = {"long"};
  options.server.timeout_s = 0.2;
  options.requests = options.concurrency = 2;
  const LoadReport report = run_load(options);
  EXPECT_EQ(report.failed, 2u);
  EXPECT_EQ(report.failures.at("timed out"), 2u) << to_text(report);
  // The cancellation is on its way; fewer steps than the answer has, so that only that can end it.
  const auto busy = [&] { return server.engine().status().running + server.engine().status().waiting > 0; };
  for (int step = 0; step < 200 && busy(); ++step) {
    server.gate().grant(1);
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_FALSE(busy()) << "the server noticed";
  server.gate().open();
}

TEST(GrpcLoad, NobodyThereIsAFailure) {
  LoadOptions options = options_for(1);
  options.request.model = "m";
  options.requests = 2;
  const LoadReport report = run_load(options);
  EXPECT_EQ(report.failed, 2u) << to_text(report);
  ASSERT_FALSE(report.failures.empty());
  EXPECT_TRUE(report.failures.begin()->first.starts_with("status UNAVAILABLE: "))
      << report.failures.begin()->first;
  options.request.model = "";
  expect_error(ErrorKind::io, {"grpc://127.0.0.1:1", "UNAVAILABLE"}, [&] { run_load(options); });
  options.server.url = "grpc://no-such-host.invalid:1";
  expect_error(ErrorKind::io, {"no-such-host.invalid"}, [&] { run_load(options); });
}

// Before its first token and behind it.
TEST(GrpcLoad, AConnectionThatIsLostIsAFailure) {
  for (const bool before : {true, false}) {
    TestServer server(with_grpc());
    auto relay = std::make_unique<Relay>(server.server().grpc_port());
    LoadOptions options = options_for(relay->port());
    options.request.model = "tern";
    options.request.prompts = {"long"};
    options.requests = 1;
    std::thread cutter;
    if (before) {
      server.gate().close();
      cutter = std::thread([&] {
        std::this_thread::sleep_for(400ms);
        relay.reset();
      });
    } else {
      server.gate().close();
      server.gate().grant(20);
      options.on_text = [&](uint64_t, uint32_t, TimePoint) { relay.reset(); };
    }
    const LoadReport report = run_load(options);
    if (cutter.joinable()) cutter.join();
    EXPECT_EQ(report.failed, 1u) << to_text(report);
    server.gate().open();
  }
}

TEST(GrpcLoad, ServersErrorsAreFailuresByTheirWords) {
  const TemporaryFolder folder;
  const std::string key = new_key();
  ServeOptions serve;
  serve.key_file = folder / "keys";
  write_file(serve.key_file, key_line(key, {"shop", {}}));
  TestServer server(with_grpc(serve));
  LoadOptions options = options_for(server);
  options.requests = 2;
  expect_error(ErrorKind::io, {"UNAUTHENTICATED"}, [&] { run_load(options); });
  options.request.model = "tern";
  LoadReport report = run_load(options);
  EXPECT_EQ(report.failed, 2u);
  EXPECT_TRUE(report.failures.begin()->first.starts_with("status UNAUTHENTICATED: "));
  options.request.model = "";
  options.server.api_key = key;
  report = run_load(options);
  EXPECT_EQ(report.done, 2u) << to_text(report);
  options.request.prompts = {"broken"};
  report = run_load(options);
  EXPECT_EQ(report.failed, 2u);
  EXPECT_TRUE(report.failures.begin()->first.starts_with("status INTERNAL: "));
  options.request.extra = {{"top_k", 3}, {"n", 2}};
  expect_error(ErrorKind::unsupported, {"\"n\""}, [&] { run_load(options); });
}

TEST(GrpcLoad, ManyCallsTakeSeveralConnections) {
  ServeOptions serve;
  serve.max_choices = 1100;
  TestServer server(with_grpc(serve));
  LoadOptions options = options_for(server);
  options.request.chat = false;
  options.request.max_tokens = 2;
  options.requests = options.concurrency = 1100;  // tern takes 1,024 over one
  const LoadReport report = run_load(options);
  EXPECT_EQ(report.done, 1100u) << to_text(report);
  options.server.keep_alive = false;
  options.requests = options.concurrency = 10;
  EXPECT_EQ(run_load(options).done, 10u);
}

TEST(GrpcLoad, BytesAreAboutThoseOfTheWire) {
  TestServer server(with_grpc());
  Relay relay(server.server().grpc_port());
  LoadOptions options = options_for(relay.port());
  options.request.model = "tern";
  options.request.prompts = {"long"};
  options.request.max_tokens = 400;
  options.requests = 1;
  const LoadReport report = run_load(options);
  ASSERT_EQ(report.tokens, 400u) << to_text(report);
  const double ratio = static_cast<double>(relay.returned()) / static_cast<double>(report.bytes);
  RecordProperty("wire_over_computed", std::to_string(ratio));
  EXPECT_GE(ratio, 0.7);  // what came together has fewer frames
  EXPECT_LE(ratio, 1.4);  // heads, settings and pings
}

}  // namespace
}  // namespace tern::load
