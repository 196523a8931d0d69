// The deadline of a gRPC call.
#include "serve/grpc/requests.h"
#include "tests/serve/grpc_fixture.h"

namespace tern::serve_test {
namespace {

EngineOptions calibrated() {
  EngineOptions engine;
  engine.calibration_s = 0.02;
  return engine;
}

TEST(GrpcDeadline, TheCallsOwnDeadlineIsPromisedAndKept) {
  Grpc grpc({}, calibrated());
  for (const std::chrono::milliseconds timeout : {20'000ms, std::chrono::milliseconds(24h * 365 * 100)}) {
    const Said said = say(*grpc.stub, asked("hello"), timeout);
    EXPECT_TRUE(said.status.ok()) << said.status.error_message();
    EXPECT_EQ(said.text, "hello");
    EXPECT_TRUE(said.finish.promised());
    EXPECT_TRUE(said.finish.on_time());
    EXPECT_GT(said.finish.predicted_ms(), 0);
    EXPECT_LT(said.finish.predicted_ms(), 20'000);
  }
}

TEST(GrpcDeadline, TernAimsALittleSooner) {
  EXPECT_EQ(deadline_ms_of(1s), 995);
  EXPECT_EQ(deadline_ms_of(20ms), 18);
  EXPECT_EQ(deadline_ms_of(10h), kMaxDeadlineMs);
  EXPECT_EQ(deadline_ms_of(std::chrono::nanoseconds::max()), kMaxDeadlineMs);
  EXPECT_EQ(deadline_ms_of(-5ms), 1) << "over already: it can't be kept";
  EXPECT_EQ(deadline_ms_of(std::chrono::nanoseconds::min()), 1);
}

TEST(GrpcDeadline, OneThatCannotBeKeptIsRefusedOrNotAsAsked) {
  // Each token takes half a millisecond at least, and four hundred are reserved for the answer.
  const fake::Script quick = answer_by_rules(test_tokenizer());
  const auto slow = [quick](std::span<const int32_t> prefix, std::span<float> logits) {
    std::this_thread::sleep_for(500us);
    quick(prefix, logits);
  };
  TestServer server(test_tokenizer(), slow, with_grpc(), calibrated());
  const auto stub = v1::Tern::NewStub(connect(server.server().grpc_port()));
  v1::GenerateRequest request = asked("hello");
  request.set_answer_reserve_tokens(400);
  const Said refused = say(*stub, request, 150ms);
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED)
      << refused.status.error_message();
  EXPECT_EQ(refused.trailer("tern-error-code"), "deadline_infeasible");
  EXPECT_EQ(refused.trailer("retry-after-ms"), "") << "coming later doesn't help";
  for (const auto policy : {v1::LATE_POLICY_BEST_EFFORT, v1::LATE_POLICY_NO_THINK}) {
    request.set_late(policy);
    const Said said = say(*stub, request, 150ms);
    EXPECT_TRUE(said.status.ok()) << said.status.error_message();
    EXPECT_EQ(said.text, "hello") << policy;
    EXPECT_FALSE(said.finish.promised());
    EXPECT_EQ(said.thinking, policy == v1::LATE_POLICY_NO_THINK ? "" : said.thinking);
  }
}

TEST(GrpcDeadline, WhatRunsBehindItIsCancelled) {
  Grpc grpc;
  grpc.server.gate().close();
  v1::GenerateRequest request = asked("long");
  request.set_late(v1::LATE_POLICY_BEST_EFFORT);
  const Said said = say(*grpc.stub, request, 200ms);
  EXPECT_EQ(said.status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  std::this_thread::sleep_for(200ms);  // for the server to notice
  grpc.server.gate().grant(2);
  EXPECT_TRUE(grpc.server.idle());
}

}  // namespace
}  // namespace tern::serve_test
