// The gRPC door as a client sees it.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/status.h>

#include <future>
#include <limits>

#include "tests/serve/grpc_fixture.h"

namespace tern::serve_test {
namespace {

EngineOptions calibrated() {
  EngineOptions engine;
  engine.calibration_s = 0.02;
  return engine;
}

/// A server and a client of its gRPC door.
struct Grpc {
  explicit Grpc(ServeOptions options = {}, EngineOptions engine = {}, int context = 512,
                int receive_buffer = 0)
      : server(with_grpc(std::move(options)), engine, context),
        stub(v1::Tern::NewStub(connect(server.server().grpc_port(), receive_buffer))) {}

  TestServer server;
  std::unique_ptr<v1::Tern::Stub> stub;
};

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
  Grpc grpc({}, {}, 1 << 13, 1024);
  v1::GenerateRequest request = asked("long");
  request.set_max_tokens(7500);
  Stream stream(*grpc.stub, request);
  stream.accepted();
  EXPECT_TRUE(grpc.server.idle()) << "the engine doesn't wait for the reader";
  const Said said = stream.rest();
  EXPECT_TRUE(said.status.ok()) << said.status.error_message();
  EXPECT_EQ(said.ids.size(), 7500u);
  EXPECT_EQ(said.text, std::string(7500 - 3, 'x'));
  EXPECT_LT(said.messages, 7000);
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
  EXPECT_GE(bytes, 20) << "what was counted isn't all";
  grpc.server.gate().open();
}

// ---- Deadlines

TEST(GrpcDeadline, TheCallsOwnDeadlineIsPromisedAndKept) {
  Grpc grpc({}, calibrated());
  const Said said = say(*grpc.stub, asked("hello"), 20s);
  EXPECT_TRUE(said.status.ok()) << said.status.error_message();
  EXPECT_EQ(said.text, "hello");
  EXPECT_TRUE(said.finish.promised());
  EXPECT_TRUE(said.finish.on_time());
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

// ---- What is refused

struct Wrong {
  const char* field;
  std::function<void(v1::GenerateRequest&)> spoil;
};

TEST(GrpcErrors, EachWrongFieldIsNamed) {
  Grpc grpc;
  const double nan = std::numeric_limits<double>::quiet_NaN(), inf = std::numeric_limits<double>::infinity();
  const Wrong wrongs[] = {
      {"input", [](auto& r) { r.clear_input(); }},
      {"messages", [](auto& r) { r.mutable_chat()->clear_messages(); }},
      {"messages[0].role", [](auto& r) { r.mutable_chat()->mutable_messages(0)->set_role("robot"); }},
      {"prompt_token_ids", [](auto& r) { r.mutable_prompt_token_ids(); }},
      {"prompt", [](auto& r) { r.mutable_prompt_token_ids()->add_ids(100000); }},
      {"prompt", [](auto& r) { r.mutable_prompt_token_ids()->add_ids(4294967295u); }},
      {"max_tokens", [](auto& r) { r.set_max_tokens(0); }},
      {"max_tokens", [](auto& r) { r.set_max_tokens(-5); }},
      {"reasoning_effort", [](auto& r) { r.set_reasoning_effort(static_cast<v1::ReasoningEffort>(77)); }},
      {"reasoning_effort",
       [](auto& r) {
         r.set_prompt("a");
         r.set_reasoning_effort(v1::REASONING_EFFORT_LOW);
       }},
      {"thinking_budget_tokens", [](auto& r) { r.set_thinking_budget_tokens(-1); }},
      {"thinking_budget_tokens",
       [](auto& r) {
         r.set_prompt("a");
         r.set_thinking_budget_tokens(5);
       }},
      {"late", [](auto& r) { r.set_late(static_cast<v1::LatePolicy>(-3)); }},
      {"answer_reserve_tokens", [](auto& r) { r.set_answer_reserve_tokens(0); }},
      {"stop",
       [](auto& r) {
         for (int i = 0; i < 5; ++i) r.add_stop("a");
       }},
      {"stop[0]", [](auto& r) { r.add_stop(""); }},
      {"top_logprobs", [](auto& r) { r.set_top_logprobs(21); }},
      {"temperature", [](auto& r) { r.set_temperature(2.5); }},
      {"temperature", [nan](auto& r) { r.set_temperature(nan); }},
      {"top_p", [inf](auto& r) { r.set_top_p(inf); }},
      {"top_p", [](auto& r) { r.set_top_p(-0.5); }},
      {"top_k", [](auto& r) { r.set_top_k(-2); }},
      {"min_p", [](auto& r) { r.set_min_p(1.5); }},
      {"presence_penalty", [](auto& r) { r.set_presence_penalty(3); }},
      {"frequency_penalty", [](auto& r) { r.set_frequency_penalty(-3); }},
      {"repetition_penalty", [](auto& r) { r.set_repetition_penalty(0); }},
      {"logit_bias.97", [](auto& r) { (*r.mutable_logit_bias())[97] = 101; }},
      {"logit_bias", [](auto& r) { (*r.mutable_logit_bias())[4294967295u] = 1; }},
      {"logit_bias", [nan](auto& r) { (*r.mutable_logit_bias())[97] = nan; }},
      {"logit_bias",
       [](auto& r) {
         for (uint32_t i = 0; i < 301; ++i) (*r.mutable_logit_bias())[i] = 1;
       }},
  };
  for (const Wrong& wrong : wrongs) {
    v1::GenerateRequest request = asked("hello");
    wrong.spoil(request);
    const Said said = say(*grpc.stub, request);
    EXPECT_EQ(said.status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << wrong.field;
    EXPECT_EQ(said.trailer("tern-error-param"), wrong.field) << said.status.error_message();
    EXPECT_NE(said.status.error_message(), "");
  }
  v1::GenerateRequest request = asked("hello");
  request.set_model("gpt-4");
  EXPECT_EQ(say(*grpc.stub, request).status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(say(*grpc.stub, asked(std::string(100'000, 'x'))).status.error_code(),
            grpc::StatusCode::INVALID_ARGUMENT)
      << "longer than the context";
  EXPECT_EQ(say(*grpc.stub, asked(std::string(5 << 20, 'x'))).status.error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED)
      << "longer than a message may be";
  EXPECT_EQ(say(*grpc.stub, asked("hello")).text, "hello");
}

TEST(GrpcErrors, AStepThatFailsIsInternal) {
  Grpc grpc;
  const Said said = say(*grpc.stub, asked("broken"));
  EXPECT_EQ(said.status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_EQ(say(*grpc.stub, asked("hello")).text, "hello");
}

TEST(GrpcErrors, AFullQueueSaysWhenToComeAgain) {
  ServeOptions options;
  options.max_choices = 1;
  Grpc grpc(options);
  grpc.server.gate().close();
  Stream first(*grpc.stub, asked("one"));
  first.accepted();
  const Said refused = say(*grpc.stub, asked("two"));
  EXPECT_EQ(refused.status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(refused.trailer("retry-after-ms"), "1000");
  EXPECT_EQ(refused.trailer("grpc-retry-pushback-ms"), "1000");
  EXPECT_EQ(chat(grpc.server, ask("three")).status, 429) << "both doors count together";
  grpc.server.gate().open();
  EXPECT_EQ(first.rest().text, "one");
}

TEST(GrpcErrors, WithoutAKeyNothingIsAnswered) {
  ServeOptions options;
  options.grpc_admits = [](std::string_view authorization) { return authorization == "Bearer right"; };
  Grpc grpc(options);
  EXPECT_EQ(say(*grpc.stub, asked("hello")).status.error_code(), grpc::StatusCode::UNAUTHENTICATED);
  for (const char* key : {"Bearer wrong", "Bearer right"}) {
    grpc::ClientContext context;
    context.AddMetadata("authorization", key);
    v1::ListModelsResponse models;
    const grpc::Status status = grpc.stub->ListModels(&context, {}, &models);
    EXPECT_EQ(status.ok(), key == std::string("Bearer right")) << status.error_message();
  }
}

// ---- The other calls

TEST(GrpcTokens, TokenizeGivesThePromptsIdsAndDetokenizeTheirText) {
  Grpc grpc;
  const auto ids_of = [&](const v1::TokenizeRequest& request) {
    grpc::ClientContext context;
    v1::TokenizeResponse response;
    EXPECT_TRUE(grpc.stub->Tokenize(&context, request, &response).ok());
    EXPECT_EQ(response.context(), 512);
    return std::vector<uint32_t>(response.token_ids().begin(), response.token_ids().end());
  };
  v1::TokenizeRequest request;
  request.set_prompt("hé");
  EXPECT_EQ(ids_of(request), (std::vector<uint32_t>{256, 'h', 0xc3, 0xa9}));
  *request.mutable_chat() = asked("a").chat();
  EXPECT_EQ(ids_of(request), (std::vector<uint32_t>{256, 258, 'a', 259, 260}));
  request.set_reasoning_effort(v1::REASONING_EFFORT_NONE);
  EXPECT_EQ(ids_of(request), (std::vector<uint32_t>{256, 258, 'a', 259, 260, 261}));

  const auto text_of = [&](std::vector<uint32_t> ids, bool special) {
    grpc::ClientContext context;
    v1::DetokenizeRequest detokenize;
    detokenize.mutable_token_ids()->Add(ids.begin(), ids.end());
    detokenize.set_with_special(special);
    v1::DetokenizeResponse response;
    const grpc::Status status = grpc.stub->Detokenize(&context, detokenize, &response);
    return status.ok() ? response.text() : std::to_string(status.error_code());
  };
  EXPECT_EQ(text_of({256, 'h', 0xc3, 0xa9}, false), "hé");
  EXPECT_EQ(text_of({256, 'h'}, true), "<|begin|>h");
  EXPECT_EQ(text_of({'h', 0xc3}, false), "h\xef\xbf\xbd") << "half a character";
  EXPECT_EQ(text_of({100000}, false), std::to_string(grpc::StatusCode::INVALID_ARGUMENT));
  EXPECT_EQ(text_of(std::vector<uint32_t>(300000, 'h'), false),
            std::to_string(grpc::StatusCode::INVALID_ARGUMENT));
}

TEST(GrpcModels, TheOneModel) {
  ServeOptions options;
  options.alias = "shop";
  Grpc grpc(options);
  v1::ListModelsResponse models;
  {
    grpc::ClientContext context;
    ASSERT_TRUE(grpc.stub->ListModels(&context, {}, &models).ok());
  }
  ASSERT_EQ(models.models_size(), 1);
  EXPECT_EQ(models.models(0).id(), "shop");
  EXPECT_EQ(models.models(0).context(), 512);
  EXPECT_EQ(models.models(0).vocabulary(), 262);
  for (const char* id : {"shop", "", "other"}) {
    grpc::ClientContext context;
    v1::GetModelRequest request;
    request.set_id(id);
    v1::Model model;
    const grpc::StatusCode code = grpc.stub->GetModel(&context, request, &model).error_code();
    EXPECT_EQ(code, id == std::string("shop") ? grpc::StatusCode::OK : grpc::StatusCode::NOT_FOUND) << id;
  }
}

// ---- Health, and the end

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
  EXPECT_EQ(say(*grpc.stub, asked("late")).status.error_code(), grpc::StatusCode::UNAVAILABLE);
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
