// Deadlines as a client sees them.
#include "tests/serve/fixture.h"

namespace tern::serve_test {
namespace {

EngineOptions calibrated() {
  EngineOptions engine;
  engine.calibration_s = 0.02;
  return engine;
}

Json with_deadline(const char* text, int ms) {
  Json body = ask(text);
  body["deadline_ms"] = ms;
  return body;
}

TEST(Deadline, AKeptOneIsReported) {
  TestServer server({}, calibrated());
  const Json choice = chat(server, with_deadline("hello", 20000)).json()["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "hello");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["tern"]["promised"], true);
  EXPECT_EQ(choice["tern"]["on_time"], true);
  EXPECT_EQ(choice["tern"]["closed_by"], "model");
  EXPECT_GT(choice["tern"]["actual_ms"], 0);
}

TEST(Deadline, AStreamReportsItAtItsEnd) {
  TestServer server({}, calibrated());
  Json last;
  for (const Json& event : stream(server, "/v1/chat/completions", with_deadline("hello", 20000))) {
    if (!event["choices"].empty()) last = event;
  }
  EXPECT_EQ(last["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(last["choices"][0]["tern"]["on_time"], true);
}

TEST(Deadline, OneThatCannotBeKeptIsRefusedOrNotAsAsked) {
  // Each token takes half a millisecond at least, and four hundred are reserved for the answer.
  const Tokenizer tokenizer = test_tokenizer();
  const fake::Script quick = answer_by_rules(tokenizer);
  const auto slow = [quick](std::span<const int32_t> prefix, std::span<float> logits) {
    std::this_thread::sleep_for(500us);
    quick(prefix, logits);
  };
  TestServer server(test_tokenizer(), slow, {}, calibrated());
  Json body = with_deadline("hello", 50);
  body["answer_reserve_tokens"] = 400;
  const Response refused = chat(server, body);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.json()["error"]["code"], "deadline_infeasible");
  EXPECT_EQ(refused.json()["error"]["param"], "deadline_ms");
  EXPECT_EQ(refused.header("Retry-After"), "") << "coming later doesn't help";
  for (const char* policy : {"best_effort", "no_think"}) {
    body["late"] = policy;
    const Json choice = chat(server, body).json()["choices"][0];
    EXPECT_EQ(choice["message"]["content"], "hello") << policy;
    EXPECT_EQ(choice["tern"]["promised"], false) << policy;
    EXPECT_FALSE(choice["message"].contains("reasoning_content")) << policy;
  }
}

TEST(Deadline, TheHeaderCountsWhereTheBodyNamesNone) {
  TestServer server({}, calibrated());
  const auto sent = [&](const Json& body, const char* header) {
    Client client(server.port());
    client.post("/v1/chat/completions", body.dump(), header);
    return client.response();
  };
  EXPECT_EQ(sent(ask("hello"), "X-Tern-Deadline-Ms: 20000\r\n").json()["choices"][0]["tern"]["on_time"],
            true);
  for (const char* bad : {"0", "-5", "1.5", "soon", "99999999999"}) {
    const Response refused = sent(ask("hello"), fmt::format("X-Tern-Deadline-Ms: {}\r\n", bad).c_str());
    EXPECT_EQ(refused.status, 400) << bad;
    EXPECT_EQ(refused.json()["error"]["param"], "X-Tern-Deadline-Ms") << bad;
  }
}

}  // namespace
}  // namespace tern::serve_test
