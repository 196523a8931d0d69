// tern's own fields as a client sees them: thinking left out, text gathered, budgets by effort, what became
// of it.
#include "serve/text_events.h"
#include "tests/serve/fixture.h"

namespace tern::serve_test {
namespace {

constexpr const char* kChat = "/v1/chat/completions";
constexpr const char* kCompletions = "/v1/completions";
constexpr const char* kThinkingPrompt = "<|user|>hey<|assistant|><think>";

Json with(const std::string& text, const Json& fields) {
  Json body = ask(text);
  body.update(fields);
  return body;
}

int thought(const Json& reply) {
  return reply["usage"]["completion_tokens_details"]["reasoning_tokens"];
}

TEST(IncludeThinking, FalseLeavesItOutAndCountsIt) {
  TestServer server;
  for (const char* name : {"include_thinking", "include_reasoning"}) {
    Json body = with("hello", {{name, false}, {"return_token_ids", true}});
    const Json reply = chat(server, body).json();
    EXPECT_EQ(reply["choices"][0]["message"], (Json{{"role", "assistant"}, {"content", "hello"}}));
    EXPECT_EQ(thought(reply), 2);
    EXPECT_EQ(reply["usage"]["completion_tokens"], 9);
    const auto ids = reply["choices"][0]["token_ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(server.engine().tokenizer().decode(ids, true), "hello<|end|>");
    body.erase("return_token_ids");
    body["stream_options"] = {{"include_usage", true}};
    const std::vector<Json> events = stream(server, kChat, body);
    EXPECT_EQ(joined(events, "reasoning_content"), "");
    EXPECT_EQ(joined(events, "content"), "hello");
    EXPECT_EQ(events.size(), 1u + 5 + 2) << "the first, five letters, the end and the usage";
    EXPECT_EQ(thought(events.back()), 2);
  }
}

TEST(IncludeThinking, FalseLeavesOutItsLogprobsAndInCompletionsItsMarkers) {
  TestServer server;
  const Json logprobs = chat(server, with("hi", {{"include_thinking", false}, {"logprobs", true}}))
                            .json()["choices"][0]["logprobs"];
  EXPECT_FALSE(logprobs.contains("reasoning_content"));
  EXPECT_EQ(logprobs["content"].size(), 2u);
  const Json body{{"prompt", kThinkingPrompt}, {"max_tokens", 50}, {"include_thinking", false}};
  const Json reply = post(server, kCompletions, body.dump()).json();
  EXPECT_EQ(reply["choices"][0]["text"], "hey");
  EXPECT_EQ(thought(reply), 2);
}

TEST(StreamInterval, TheFirstTokenComesAtOnceAndNoTextIsHeldLonger) {
  TestServer server;
  server.gate().close();
  Client client(server.port());
  client.post(kChat, with("hello", {{"stream", true}, {"stream_interval_ms", 300}}).dump());
  EXPECT_EQ(client.response_head().status, 200);
  client.event();
  const TimePoint began = Clock::now();
  server.gate().grant(2);
  EXPECT_NE(client.event()->find("\"reasoning_content\":\"h\""), std::string::npos);
  EXPECT_NE(client.event()->find("\"reasoning_content\":\"m\""), std::string::npos) << "no token follows";
  EXPECT_GE(seconds_since(began), 0.29);
  server.gate().open();
  const std::vector<std::string> rest = client.events();
  ASSERT_EQ(rest.size(), 3u) << "the answer, the finish and [DONE]";
  EXPECT_NE(rest[0].find("\"content\":\"hello\""), std::string::npos) << "gathered, and sent at the end";
}

TEST(StreamInterval, GathersAllThatIsSentOtherwise) {
  TestServer server;
  for (const Json& more : std::vector<Json>{Json::object(),
                                            {{"n", 3}},
                                            {{"logprobs", true}, {"top_logprobs", 1}},
                                            {{"stream_options", {{"continuous_usage_stats", true}}}}}) {
    const Json body = with("a long way", more);
    const std::vector<Json> single = stream(server, kChat, body);
    const std::vector<Json> gathered = stream(server, kChat, with("a long way", [&] {
                                                Json fields = more;
                                                fields["stream_interval_ms"] = 10'000;
                                                return fields;
                                              }()));
    EXPECT_LT(gathered.size(), single.size());
    const auto logprobs = [](const std::vector<Json>& events, const char* side) {
      Json all = Json::array();
      for (const Json& event : events) {
        const Json& choice = event["choices"][0];
        if (!choice.contains("logprobs") || !choice["logprobs"].contains(side)) continue;
        for (const Json& one : choice["logprobs"][side]) all.push_back(one);
      }
      return all;
    };
    for (const int choice : {0, more.value("n", 1) - 1}) {
      EXPECT_EQ(joined(gathered, "content", choice), "a long way");
      EXPECT_EQ(joined(gathered, "reasoning_content", choice), "hm");
    }
    for (const char* side : {"content", "reasoning_content"})
      EXPECT_EQ(logprobs(gathered, side), logprobs(single, side));
    if (more.contains("stream_options")) {
      EXPECT_EQ(gathered.back()["usage"], single.back()["usage"]);
    }
  }
}

TEST(StreamInterval, WhatIsHeldComesBeforeAnError) {
  const Tokenizer tokenizer = test_tokenizer();
  const fake::Script rules = answer_by_rules(tokenizer);
  const auto breaks = [rules](std::span<const int32_t> prefix, std::span<float> logits) {
    if (prefix.back() == 'c') fail(ErrorKind::internal, "the model broke");
    rules(prefix, logits);
  };
  TestServer server(test_tokenizer(), breaks);
  Client client(server.port());
  client.post(kChat, with("abcd", {{"stream", true}, {"stream_interval_ms", 10'000}}).dump());
  EXPECT_EQ(client.response_head().status, 200);
  const std::vector<std::string> events = client.events();
  ASSERT_GE(events.size(), 2u);
  EXPECT_NE(events[events.size() - 2].find("\"content\":\"abc\""), std::string::npos);
  EXPECT_TRUE(Json::parse(events.back()).contains("error"));
}

TEST(Effort, IsWorthTokens) {
  ServeOptions options;
  options.efforts = {{Effort::low, 1}, {Effort::high, std::nullopt}};
  TestServer server(options);
  const auto thinks = [&](const Json& fields) { return thought(chat(server, with("hello", fields)).json()); };
  EXPECT_EQ(thinks({{"reasoning_effort", "none"}}), 0);
  EXPECT_EQ(thinks({{"reasoning_effort", "low"}}), 1);
  EXPECT_EQ(thinks({{"reasoning_effort", "medium"}}), 2) << "the default of tern's own format is more";
  EXPECT_EQ(thinks({{"reasoning_effort", "high"}}), 2);
  EXPECT_EQ(thinks({{"reasoning_effort", "low"}, {"thinking_budget_tokens", 2}}), 2) << "the number wins";
  EXPECT_EQ(thinks({{"reasoning_effort", "high"}, {"thinking_token_budget", 1}}), 1) << "vLLM's name";
  EXPECT_EQ(thinks({{"chat_template_kwargs", {{"thinking_budget", 1}}}}), 1);
  EXPECT_EQ(thinks({{"reasoning_effort", "medium"}, {"max_tokens", 3}}), 1) << "at most half of the reply";
  const Json low = chat(server, with("hello", {{"reasoning_effort", "low"}})).json()["choices"][0];
  EXPECT_EQ(low["message"]["content"], "hello");
  EXPECT_EQ(low["tern"]["closed_by"], "budget");
}

TEST(Effort, TheOperatorsCeilingWins) {
  ServeOptions options;
  options.max_thinking = 1;
  TestServer server(options);
  for (const Json& fields : std::vector<Json>{Json::object(),
                                              {{"reasoning_effort", "high"}},
                                              {{"thinking_budget_tokens", 2}},
                                              {{"chat_template_kwargs", {{"enable_thinking", true}}}}}) {
    EXPECT_EQ(thought(chat(server, with("hello", fields)).json()), 1) << fields;
  }
  EXPECT_EQ(thought(chat(server, with("hello", {{"thinking_budget_tokens", 0}})).json()), 0);
  const Json body{{"prompt", kThinkingPrompt}, {"max_tokens", 50}};
  EXPECT_EQ(thought(post(server, kCompletions, body.dump()).json()), 1);
}

TEST(Effort, AModelThatCannotThinkIsServedAllTheSame) {
  ServeOptions options;
  options.max_thinking = 1;
  TestServer server(fake::tokenizer(false), fake::says(1, fake::bytes("abc")), options);
  EXPECT_EQ(post(server, kCompletions, R"({"prompt": [97], "max_tokens": 3})").json()["choices"][0]["text"],
            "abc");
}

TEST(StopTokens, EndTheReply) {
  TestServer server;
  const Json choice = chat(server, with("one two", {{"stop_token_ids", {'t'}}})).json()["choices"][0];
  EXPECT_EQ(choice["message"]["content"], "one ");
  EXPECT_EQ(choice["finish_reason"], "stop");
}

TEST(TernObject, IsOnEveryReply) {
  TestServer server;
  const auto check = [](const Json& tern) {
    ASSERT_TRUE(tern.is_object());
    EXPECT_EQ(tern["promised"], false);
    EXPECT_EQ(tern["on_time"], nullptr);
    EXPECT_EQ(tern["closed_by"], "model");
    EXPECT_EQ(tern["thinking_tokens"], 2);
    EXPECT_EQ(tern["answer_tokens"], 6) << "hello and the end";
    EXPECT_EQ(tern["predicted_ms"], nullptr);
    EXPECT_GE(tern["queue_ms"], 0);
    EXPECT_GE(tern["first_token_ms"], tern["queue_ms"]);
    EXPECT_GE(tern["actual_ms"], tern["first_token_ms"]);
    EXPECT_EQ(tern.size(), 9u);
  };
  check(chat(server, ask("hello")).json()["choices"][0]["tern"]);
  check(last_choice(stream(server, kChat, ask("hello")))["tern"]);
}

TEST(TernObject, SaysWhatADeadlineWasJudgedBy) {
  EngineOptions engine;
  engine.calibration_s = 0.02;
  TestServer server({}, engine);
  const Json tern = chat(server, with("hello", {{"deadline_ms", 20'000}})).json()["choices"][0]["tern"];
  EXPECT_EQ(tern["promised"], true);
  EXPECT_EQ(tern["on_time"], true);
  EXPECT_GT(tern["predicted_ms"], 0);
  EXPECT_LT(tern["predicted_ms"], 20'000);
}

Json tokenize(const TestServer& server, const Json& body) {
  const Response response = post(server, "/tokenize", body.dump());
  EXPECT_EQ(response.status, 200) << response.body;
  return response.json();
}

TEST(Tokenize, TextsAndConversations) {
  TestServer server;
  EXPECT_EQ(
      tokenize(server, {{"prompt", "ab"}}),
      (Json{{"count", 3}, {"max_model_len", 512}, {"tokens", {256, 'a', 'b'}}, {"token_strs", nullptr}}));
  EXPECT_EQ(tokenize(server, {{"prompt", "<|begin|>ab"}})["tokens"], (Json{256, 'a', 'b'}));
  EXPECT_EQ(tokenize(server, {{"prompt", "ab"}, {"add_special_tokens", false}})["tokens"], (Json{'a', 'b'}));
  EXPECT_EQ(tokenize(server, {{"prompt", ""}, {"add_special_tokens", false}})["tokens"], Json::array());
  EXPECT_EQ(tokenize(server, {{"prompt", "\"é"}, {"return_token_strs", true}})["token_strs"],
            (Json{"<|begin|>", "\"", "\xef\xbf\xbd", "\xef\xbf\xbd"}));
  const Json chatted = tokenize(server, ask("hello"));
  EXPECT_EQ(chatted["count"], chat(server, ask("hello")).json()["usage"]["prompt_tokens"]);
  EXPECT_EQ(server.engine().tokenizer().decode(chatted["tokens"].get<std::vector<int32_t>>(), true),
            "<|begin|><|user|>hello<|assistant|><think>");
  EXPECT_LT(tokenize(server, with("hello", {{"add_generation_prompt", false}}))["count"], chatted["count"]);
  const Json off = tokenize(server, with("hello", {{"chat_template_kwargs", {{"enable_thinking", false}}}}));
  EXPECT_EQ(off["count"], chatted["count"].get<int>() + 1) << "the thinking is closed in the prompt";
}

TEST(Tokenize, AndBack) {
  TestServer server;
  const auto text = [&](const Json& tokens) {
    const Response response = post(server, "/detokenize", Json{{"tokens", tokens}}.dump());
    EXPECT_EQ(response.status, 200) << response.body;
    return response.json()["prompt"];
  };
  EXPECT_EQ(text({256, 'a', 'b', 257}), "<|begin|>ab<|end|>");
  EXPECT_EQ(text({0xc3, 0xa9}), "é");
  EXPECT_EQ(text({0xc3}), "\xef\xbf\xbd");
  EXPECT_EQ(text(Json::array()), "");
}

TEST(Tokenize, WhatIsWrongIsNamed) {
  TestServer server;
  const auto refused = [&](const char* path, const std::string& body) {
    const Response response = post(server, path, body);
    EXPECT_EQ(response.status, body.find("gpt") == std::string::npos ? 400 : 404) << response.body;
    const Json error = response.json()["error"];
    return error["param"].is_null() ? std::string() : error["param"].get<std::string>();
  };
  EXPECT_EQ(refused("/tokenize", "{}"), "prompt");
  EXPECT_EQ(refused("/tokenize", R"({"prompt": 5})"), "prompt");
  EXPECT_EQ(refused("/tokenize", R"({"prompt": "a", "messages": [{"role": "user", "content": "a"}]})"),
            "prompt");
  EXPECT_EQ(refused("/tokenize", R"({"messages": []})"), "messages");
  EXPECT_EQ(refused("/tokenize", R"({"prompt": "a", "model": "gpt"})"), "model");
  EXPECT_EQ(refused("/tokenize", R"({"prompt": "a", "return_token_strs": 1})"), "return_token_strs");
  EXPECT_EQ(refused("/tokenize", "[]"), "");
  EXPECT_EQ(refused("/detokenize", "{}"), "tokens");
  EXPECT_EQ(refused("/detokenize", R"({"tokens": "a"})"), "tokens");
  EXPECT_EQ(refused("/detokenize", R"({"tokens": [262]})"), "tokens") << "the vocabulary has 262";
  EXPECT_EQ(refused("/detokenize", R"({"tokens": [-1]})"), "tokens");
}

TEST(LongBodies, AreWorkedOutWithoutHoldingUpOthers) {
  TestServer server;
  constexpr size_t kLong = 3 << 20;
  const Json long_text = tokenize(server, {{"prompt", std::string(kLong, 'x')}, {"return_token_strs", true}});
  EXPECT_EQ(long_text["count"], kLong + 1);
  EXPECT_EQ(long_text["token_strs"].size(), kLong + 1);
  const Response refused = chat(server, ask(std::string(kLong, 'x')));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.json()["error"]["code"], "context_length_exceeded");
  EXPECT_EQ(post(server, kChat, std::string(kLong, '[')).json()["error"]["code"], "invalid_json");

  Client leaves(server.port());
  leaves.post("/tokenize", Json{{"prompt", std::string(kLong, 'x')}}.dump());
  Client other(server.port());
  other.get("/health");
  EXPECT_EQ(other.response().status, 200);
  leaves.close();
  EXPECT_EQ(tokenize(server, {{"prompt", std::string(kLong, 'x')}})["count"], kLong + 1);
}

TEST(LongBodies, BecomeAnswersLikeAllOthers) {
  TestServer server({}, {}, 1 << 16);
  const std::string text = std::string(20'000, 'y');
  EXPECT_EQ(chat(server, with(text, {{"max_tokens", 6}})).json()["choices"][0]["message"]["content"], "yyy");
  EXPECT_EQ(
      joined(stream(server, kChat, with(text, {{"max_tokens", 6}, {"stream_interval_ms", 5}})), "content"),
      "yyy");
  Json body = with("long " + text, {{"stream", true}});
  Client client(server.port());
  client.post(kChat, body.dump());
  EXPECT_EQ(client.response_head().status, 200);
  client.event();
  client.close();
  EXPECT_TRUE(server.idle()) << "a client that left is noticed here, too";
}

TEST(Version, IsTold) {
  ServeOptions options;
  options.version = "1.2.3";
  TestServer server(options);
  Client client(server.port());
  client.get("/version");
  EXPECT_EQ(client.response().json(), (Json{{"version", "1.2.3"}}));
}

}  // namespace
}  // namespace tern::serve_test
