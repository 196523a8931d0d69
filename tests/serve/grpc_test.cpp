// Generate over gRPC as a client sees it: its events, clients that leave or don't read, bytes.
#include "serve/grpc/events.h"
#include "tests/serve/grpc_fixture.h"

namespace tern::serve_test {
namespace {

std::string markers(const std::string& thinking, const std::string& text) {
  return thinking + "|" + text;
}

TEST(Grpc, ThinkingAndAnswerComeInTheirFields) {
  Grpc grpc;
  const Said said = say(*grpc.stub, asked("hello"));
  EXPECT_TRUE(said.status.ok()) << said.status.error_message();
  EXPECT_EQ(markers(said.thinking, said.text), "hm|hello");
  ASSERT_EQ(said.ids.size(), 9u) << "two thoughts and their end, five letters, the end";
  EXPECT_EQ(said.ids[3], static_cast<uint32_t>('h'));
  EXPECT_EQ(said.finish.reason(), v1::FINISH_REASON_STOP);
  EXPECT_EQ(said.finish.usage().completion_tokens(), 9);
  EXPECT_GT(said.finish.usage().reasoning_tokens(), 0);
  EXPECT_EQ(said.finish.usage().prompt_tokens(), 9);
  EXPECT_EQ(said.finish.closed_by(), v1::CLOSED_BY_MODEL);
  EXPECT_FALSE(said.finish.has_on_time());
  EXPECT_FALSE(said.finish.has_predicted_ms());
  EXPECT_GE(said.finish.actual_ms(), said.finish.first_token_ms());
}

TEST(Grpc, RawTextAndTokenIdsAreCompleted) {
  Grpc grpc;
  v1::GenerateRequest request;
  request.set_prompt("abc");
  const Said text = say(*grpc.stub, request);
  EXPECT_EQ(text.ids.size(), 16u) << text.status.error_message();
  EXPECT_EQ(text.finish.reason(), v1::FINISH_REASON_LENGTH);
  for (const uint32_t id : {256, 97, 98, 99}) request.mutable_prompt_token_ids()->add_ids(id);
  const Said ids = say(*grpc.stub, request);
  EXPECT_EQ(ids.text, text.text);
  EXPECT_EQ(ids.ids, text.ids);
}

TEST(Grpc, SaysWhatTheHttpDoorSays) {
  Grpc grpc;
  for (const double temperature : {0.0, 1.7}) {
    Json body = ask("random letters");
    body["temperature"] = temperature;
    body["seed"] = -5;
    body["max_tokens"] = 60;
    body["logit_bias"] = {{"97", -100}, {"98", 2.5}};
    body["presence_penalty"] = 0.3;
    const Json choice = chat(grpc.server, body).json()["choices"][0];
    v1::GenerateRequest request = asked("random letters");
    request.set_temperature(temperature);
    request.set_seed(-5);
    request.set_max_tokens(60);
    (*request.mutable_logit_bias())[97] = -100;
    (*request.mutable_logit_bias())[98] = 2.5;
    request.set_presence_penalty(0.3);
    const Said said = say(*grpc.stub, request);
    EXPECT_EQ(said.text, choice["message"]["content"]);
    EXPECT_EQ(said.thinking, choice["message"]["reasoning_content"]);
    EXPECT_EQ(said.text.find('a'), std::string::npos);
    EXPECT_EQ(said.finish.reason(), v1::FINISH_REASON_LENGTH);
  }
}

TEST(Grpc, ThinkingFollowsEffortAndBudget) {
  Grpc grpc;
  v1::GenerateRequest request = asked("hello");
  request.set_reasoning_effort(v1::REASONING_EFFORT_NONE);
  EXPECT_EQ(say(*grpc.stub, request).thinking, "");
  request = asked("hello");
  request.set_thinking_budget_tokens(1);
  const Said budget = say(*grpc.stub, request);
  EXPECT_EQ(budget.thinking, "h");
  EXPECT_EQ(budget.finish.closed_by(), v1::CLOSED_BY_BUDGET);
}

TEST(Grpc, LogprobsStandBesideTheirTokens) {
  Grpc grpc;
  v1::GenerateRequest request = asked("hello");
  request.set_top_logprobs(2);
  grpc.server.gate().close();
  Stream stream(*grpc.stub, request);
  grpc.server.gate().open();
  int tokens = 0;
  while (const auto event = stream.next()) {
    ASSERT_EQ(event->logprobs_size(), event->token_ids_size());
    for (int i = 0; i < event->logprobs_size(); ++i) {
      const v1::Logprob& logprob = event->logprobs(i);
      ASSERT_EQ(logprob.top_size(), 2);
      EXPECT_EQ(logprob.top(0).token_id(), event->token_ids(i));
      EXPECT_LE(logprob.logprob(), 0);
      EXPECT_GE(logprob.top(0).logprob(), logprob.top(1).logprob());
      ++tokens;
    }
  }
  EXPECT_EQ(tokens, 9);
}

TEST(Grpc, HeadersComeBeforeTheFirstTokenAndEachTokenAtOnce) {
  Grpc grpc;
  grpc.server.gate().close();
  Stream stream(*grpc.stub, asked("ab"));
  stream.accepted();
  grpc.server.gate().grant(1);
  Said said;
  while (said.thinking != "h") said.add(*stream.next());
  grpc.server.gate().grant(1);
  said.add(*stream.next());
  EXPECT_EQ(said.thinking, "hm");
  grpc.server.gate().grant(2);
  while (said.text != "a") said.add(*stream.next());
  grpc.server.gate().open();
  EXPECT_EQ(stream.rest().text, "b");
}

TEST(Grpc, ACancelledCallEndsWithinAStep) {
  Grpc grpc;
  for (const bool gone : {false, true}) {
    grpc.server.gate().close();
    auto channel = connect(grpc.server.server().grpc_port());
    auto stub = v1::Tern::NewStub(channel);
    auto stream = std::make_unique<Stream>(*stub, asked("long"));
    grpc.server.gate().grant(8);
    stream->tokens(4);
    if (gone) {
      stream.reset();  // the last that holds the connection
      stub.reset();
      channel.reset();
    } else {
      stream->cancel();
    }
    std::this_thread::sleep_for(300ms);  // for the server to notice
    const uint64_t before = grpc.server.engine().status().steps;
    grpc.server.gate().grant(2);  // the step that was waiting at the gate, and at most one more
    EXPECT_TRUE(grpc.server.idle());
    EXPECT_LE(grpc.server.engine().status().steps, before + 2);
    grpc.server.gate().open();
  }
}

TEST(Grpc, AReaderTooSlowIsCancelled) {
  ServeOptions options;
  options.unsent_limit = 16 << 10;
  options.socket_buffer = 16 << 10;
  Grpc grpc(options, {}, 1 << 20, 4096);
  Stream stream(*grpc.stub, asked("long"));
  stream.accepted();
  EXPECT_TRUE(grpc.server.idle()) << "a million tokens are not read, and not made";
  EXPECT_EQ(stream.rest().status.error_code(), grpc::StatusCode::CANCELLED);
}

TEST(Grpc, AReaderThatStopsHoldsNobodyUp) {
  ServeOptions options;
  options.write_timeout = 200ms;
  options.socket_buffer = 4096;
  options.unsent_limit = 64 << 20;
  Grpc grpc(options, {}, 1 << 15, 4096);
  v1::GenerateRequest request = asked("long");
  Stream stream(*grpc.stub, request);
  stream.accepted();
  EXPECT_TRUE(grpc.server.idle());
  grpc.server.server().stop();
  EXPECT_TRUE(grpc.server.ended()) << "the reader is given up, nothing is waited for";
}

TEST(Grpc, WhatWaitsForAReaderComesTogether) {
  Grpc grpc({}, {}, 1 << 11, 1024);
  v1::GenerateRequest request = asked("long");
  request.set_max_tokens(1000);
  request.set_top_logprobs(20);  // for their bytes
  Stream stream(*grpc.stub, request);
  stream.accepted();
  EXPECT_TRUE(grpc.server.idle()) << "the engine doesn't wait for the reader";
  const Said said = stream.rest();
  EXPECT_TRUE(said.status.ok()) << said.status.error_message();
  EXPECT_EQ(said.ids.size(), 1000u);
  EXPECT_EQ(said.text, std::string(1000 - 3, 'x'));
  EXPECT_LT(said.messages, 900);
}

TEST(Grpc, ATokenTakesAtMost32BytesOnTheWire) {
  Grpc grpc;
  Relay relay(grpc.server.server().grpc_port());
  const auto stub = v1::Tern::NewStub(connect(relay.port()));
  grpc.server.gate().close();
  Stream stream(*stub, asked("long"));
  stream.accepted();
  grpc.server.gate().grant(21);
  stream.tokens(21);
  const size_t before = relay.returned();
  constexpr int kTokens = 100;
  for (int i = 0; i < kTokens; ++i) {
    grpc.server.gate().grant(1);
    const auto event = stream.next();
    ASSERT_TRUE(event);
    EXPECT_EQ(event->token_ids_size(), 1);
    EXPECT_EQ(event->text(), "x");
  }
  const double bytes = static_cast<double>(relay.returned() - before) / kTokens;
  RecordProperty("bytes_a_token", std::to_string(bytes));
  EXPECT_LE(bytes, 32);
  EXPECT_GE(bytes, 15) << "what was counted isn't all";  // the last one may be on its way
  grpc.server.gate().open();
}

TEST(GrpcEvents, WhatWaitsIsOneMessageButForThinkingBehindTheAnswer) {
  const auto token = [](int id, bool thinking, const char* text) {
    TokenEvent event;
    event.token = id;
    event.thinking = thinking;
    event.text = text;
    return event;
  };
  EventQueue queue(false);
  queue.add(token(1, true, "a"));
  queue.add(token(2, true, ""));
  queue.add(token(3, false, "b"));
  queue.add(token(4, true, ""));
  queue.add(token(5, true, "c"));
  FinishEvent last;
  last.text = "d";
  queue.add(last);
  const v1::GenerateEvent first = queue.pop(), second = queue.pop();
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(markers(first.thinking(), first.text()), "a|b");
  EXPECT_EQ(first.token_ids_size(), 4);
  EXPECT_EQ(markers(second.thinking(), second.text()), "c|d");
  EXPECT_EQ(second.token_ids_size(), 1);
  EXPECT_TRUE(second.has_finish() && !first.has_finish());
}

}  // namespace
}  // namespace tern::serve_test
