// Whole loads against servers that follow a script, and against tern's own.
#include "measure/load/run.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/error.h"
#include "measure/load/report.h"
#include "measure/load/sweep.h"
#include "tests/measure/load/fake_server.h"
#include "tests/serve/fixture.h"

namespace tern::load {
namespace {

using namespace load_test;
using namespace std::chrono_literals;
using Json = nlohmann::json;

LoadOptions options_for(const std::string& url) {
  LoadOptions options;
  options.server.url = url;
  options.server.timeout_s = 5;
  options.request.prompts = {"hello"};
  options.request.model = "m";
  options.duration_s = 0;
  return options;
}

/// Answers every request with what `answer` makes of its number and body.
FakeServer::Script answers(std::function<std::string(int, const Json&)> answer) {
  auto count = std::make_shared<std::atomic<int>>(0);
  return [answer = std::move(answer), count](Peer& peer) {
    while (const auto body = peer.request()) {
      if (!peer.send(answer(count->fetch_add(1), Json::parse(*body)))) return;
    }
  };
}

TEST(Load, CountsEachRequestOnce) {
  FakeServer server(answers([](int i, const Json&) -> std::string {
    switch (i % 5) {
      case 0:
        return reply(429, "{}", "retry-after-ms: 1\r\n");
      case 1:
        return reply(500, R"({"error":{"message":"broke"}})");
      case 2:
        return stream_head() + event(R"({"choices":[{"delta":{"content":"a"}}]})") +
               event(R"({"error":{"message":"the step failed"}})") + "0\r\n\r\n";
      default:
        return whole_stream(3, 2);
    }
  }));
  LoadOptions options = options_for(server.url());
  options.requests = 20;
  options.rate = 200;
  const LoadReport report = run_load(options);
  EXPECT_EQ(report.sent, 20u);
  EXPECT_EQ(report.done, 8u);
  EXPECT_EQ(report.complete, 8u);
  EXPECT_EQ(report.refused, 4u);
  EXPECT_EQ(report.failed, 8u);
  EXPECT_EQ(report.failures.at("status 500: broke"), 4u);
  EXPECT_EQ(report.failures.at("stream broken off: the step failed"), 4u);
  EXPECT_EQ(report.refusal.count(), 4u);
  EXPECT_EQ(report.e2e.count(), 8u);
  EXPECT_EQ(report.tokens, 8u * 5);
  EXPECT_EQ(report.reasoning_tokens, 8u * 3);
  EXPECT_EQ(report.prompt_tokens, 8u * 5);
  EXPECT_EQ(report.estimated, 0u);
  EXPECT_EQ(report.records.size(), 20u);
  EXPECT_NEAR(report.bytes_per_token(), static_cast<double>(whole_stream(3, 2).size()) / 5, 0.01);
}

TEST(Load, TellsTheFirstTokenFromTheFirstOfTheAnswer) {
  FakeServer server([](Peer& peer) {
    while (peer.request()) {
      peer.send(stream_head());
      std::this_thread::sleep_for(200ms);
      peer.send(event(R"({"choices":[{"delta":{"reasoning":"h"}}]})"));
      std::this_thread::sleep_for(200ms);
      peer.send(event(R"({"choices":[{"delta":{"content":"a"}}]})"));
      std::this_thread::sleep_for(50ms);
      peer.send(event(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})") + stream_end());
    }
  });
  LoadOptions options = options_for(server.url());
  options.requests = options.concurrency = 3;
  const LoadReport report = run_load(options);
  ASSERT_EQ(report.done, 3u);
  EXPECT_LT(report.ttfb.min(), 0.2);
  EXPECT_GE(report.ttft.min(), 0.2);
  EXPECT_LT(report.ttft.min(), 0.4);
  EXPECT_GE(report.ttfa.min(), 0.4);
  EXPECT_GE(report.e2e.min(), 0.45);
  EXPECT_EQ(report.itl.count(), 3u);
  EXPECT_GE(report.itl.max(), 0.1);
  EXPECT_EQ(report.estimated, 3u);
  EXPECT_EQ(report.tokens, 6u);
  EXPECT_EQ(report.reasoning_tokens, 3u);
}

// The last answer and the moment to show the progress come at once, where the client was busy until then.
TEST(Load, EndsWhereProgressIsDueWithTheLastAnswer) {
  FakeServer server([](Peer& peer) {
    while (peer.request()) {
      peer.send(stream_head() + event(R"({"choices":[{"delta":{"content":"a"}}]})"));
      std::this_thread::sleep_for(30ms);
      peer.send(event(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})") + stream_end());
    }
  });
  LoadOptions options = options_for(server.url());
  options.requests = 1;
  options.on_text = [](uint64_t, uint64_t, TimePoint) { std::this_thread::sleep_for(150ms); };
  const TimePoint began = Clock::now();
  int shown_late = 0;
  const LoadReport report = run_load(options, [&](const LoadProgress& now) {
    if (now.open > 0 || now.done == 0) return;
    ++shown_late;
    if (seconds_since(began) > 5) throw std::runtime_error("it never ends");
  });
  EXPECT_EQ(report.done, 1u);
  EXPECT_EQ(shown_late, 0);
}

// A server that serves one at a time and stalls once: whoever was due meanwhile has waited, whether or not
// the client could send.
TEST(Load, TheTimeOfAStallIsCountedForAllWhoWereDue) {
  std::mutex one_at_a_time;
  std::atomic<int> count = 0;
  FakeServer server([&](Peer& peer) {
    while (peer.request()) {
      const std::lock_guard lock(one_at_a_time);
      if (count++ == 0) std::this_thread::sleep_for(400ms);
      peer.send(whole_stream(0, 1));
    }
  });
  LoadOptions options = options_for(server.url());
  options.trace.resize(40);
  for (int i = 0; i < 40; ++i) options.trace[i].at_s = i * 0.01;  // all due before the stall is over
  for (const int connections : {4096, 2}) {
    count = 0;
    options.most_connections = connections;
    const LoadReport report = run_load(options);
    ASSERT_EQ(report.done, 40u);
    EXPECT_GE(report.e2e.max(), 0.4) << connections;
    EXPECT_GE(report.e2e.mean(), 0.2) << connections;  // 400, 390, … 10 ms, and what the machine adds
    EXPECT_GE(report.ttfb.mean(), 0.2) << connections;
    EXPECT_GE(report.e2e.quantile(0.5), 0.19) << connections;
    if (connections == 2) {
      EXPECT_GE(report.lag.mean(), 0.15);
    }
  }
}

TEST(Load, JudgesDeadlinesByItsOwnClockAndKeepsTheServersWord) {
  FakeServer server([](Peer& peer) {
    while (const auto body = peer.request()) {
      const int deadline = Json::parse(*body)["deadline_ms"];
      if (deadline == 50) std::this_thread::sleep_for(100ms);
      const char* finish = deadline == 4000 ? "length" : "stop";
      peer.send(whole_stream(0, 1, finish, R"({"promised":true,"on_time":true})"));
    }
  });
  LoadOptions options = options_for(server.url());
  for (const int deadline : {50, 3000, 4000}) {
    options.trace.push_back({0, {{"deadline_ms", deadline}}, ""});
  }
  const LoadReport report = run_load(options);
  EXPECT_EQ(report.done, 3u);
  EXPECT_EQ(report.with_deadline, 3u);
  EXPECT_EQ(report.on_time, 1u);
  EXPECT_EQ(report.late, 2u);  // one after its deadline, one cut short
  EXPECT_EQ(report.complete, 2u);
  EXPECT_EQ(report.server_said, 3u);
  EXPECT_EQ(report.server_on_time, 3u);
}

TEST(Load, AServerThatNeverEndsTimesOut) {
  const std::string endless = event(R"({"choices":[{"delta":{"content":"a"}}]})");
  FakeServer server([&](Peer& peer) {
    if (!peer.request()) return;
    peer.send(stream_head());
    while (peer.send(endless)) std::this_thread::sleep_for(1ms);
  });
  LoadOptions options = options_for(server.url());
  options.server.timeout_s = 0.2;
  options.requests = 2;
  options.concurrency = 2;
  const TimePoint begin = Clock::now();
  const LoadReport report = run_load(options);
  EXPECT_EQ(report.failures.at("timed out"), 2u);
  EXPECT_LT(seconds_since(begin), 5);
}

TEST(Load, EveryWayToFailIsCountedUnderItsReason) {
  const std::map<std::string, std::string> ways = {
      {"this is no response of an HTTP/1.1 server", "nonsense\r\n"},
      {"the reply is no event stream", reply(200, "{}")},
      {"the stream ended without a finish_reason", stream_head() + stream_end()},
      {"the stream ended without [DONE]",
       stream_head() + event(R"({"choices":[{"finish_reason":"stop"}]})") + "0\r\n\r\n"},
      {"an event's JSON is broken at byte 2", stream_head() + event("{x")},
      {"the connection ended inside of a response's body", stream_head() + event("{}")},
      {"the connection ended inside of a response's head", "HTTP/1.1 200 OK\r\n"},
      {"connection closed without a reply", ""},
      {"status 404", reply(404, "not JSON")},
      {"bytes after the response's end", whole_stream(0, 1) + "more"},
  };
  for (const auto& [why, bytes] : ways) {
    FakeServer server([&, sent = bytes](Peer& peer) {
      if (peer.request()) peer.send(sent);
    });
    LoadOptions options = options_for(server.url());
    options.requests = 1;
    const LoadReport report = run_load(options);
    ASSERT_EQ(report.failed, 1u) << why;
    EXPECT_EQ(report.failures.begin()->first, why);
  }
  LoadOptions options = options_for("http://127.0.0.1:1");
  options.requests = 1;
  const LoadReport report = run_load(options);
  ASSERT_EQ(report.failed, 1u);
  EXPECT_TRUE(report.failures.begin()->first.starts_with("can't connect")) << report.failures.begin()->first;
}

TEST(Load, ReasonsWithoutEndAreGathered) {
  FakeServer server(answers([](int i, const Json&) {
    return reply(500, R"({"error":{"message":")" + std::to_string(i) + "\"}}");
  }));
  LoadOptions options = options_for(server.url());
  options.requests = 60;
  options.rate = 1000;
  const LoadReport report = run_load(options);
  EXPECT_EQ(report.failed, 60u);
  EXPECT_EQ(report.failures.size(), 33u);
  EXPECT_EQ(report.failures.at("other reasons"), 28u);
}

TEST(Load, AConnectionThatTheServerClosedWhileIdleIsNoFailure) {
  FakeServer server([](Peer& peer) {
    if (peer.request()) peer.send(whole_stream(0, 1));  // says keep-alive, and closes
  });
  LoadOptions options = options_for(server.url());
  options.requests = 20;
  const LoadReport report = run_load(options);
  EXPECT_EQ(report.done, 20u);
  EXPECT_EQ(report.failed, 0u);
}

TEST(Load, KeepsConnectionsOrNot) {
  for (const bool keep : {true, false}) {
    FakeServer server(answers([](int, const Json&) { return whole_stream(0, 1); }));
    LoadOptions options = options_for(server.url());
    options.requests = 10;
    options.server.keep_alive = keep;
    EXPECT_EQ(run_load(options).done, 10u);
    EXPECT_EQ(server.connections(), keep ? 1 : 10);
  }
}

TEST(Load, AClosedLoopKeepsItsConcurrencyAndWaitsAfterARefusal) {
  std::atomic<int> open = 0, most = 0;
  FakeServer server([&](Peer& peer) {
    while (peer.request()) {
      const int now = ++open;
      int seen = most;
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      std::this_thread::sleep_for(10ms);
      --open;
      peer.send(whole_stream(0, 1));
    }
  });
  LoadOptions options = options_for(server.url());
  options.concurrency = 3;
  options.requests = 30;
  EXPECT_EQ(run_load(options).done, 30u);
  EXPECT_EQ(most, 3);

  FakeServer busy(answers([](int, const Json&) { return reply(429, "{}", "retry-after-ms: 100\r\n"); }));
  options = options_for(busy.url());
  options.duration_s = 0.5;
  const LoadReport report = run_load(options);
  EXPECT_GE(report.refused, 2u);
  EXPECT_LE(report.refused, 6u);
}

TEST(Load, TheWarmUpIsSentAndNotCounted) {
  std::atomic<int> asked = 0;
  FakeServer server(answers([&](int, const Json&) {
    ++asked;
    return whole_stream(0, 1);
  }));
  LoadOptions options = options_for(server.url());
  options.trace.resize(20);
  for (int i = 0; i < 20; ++i) options.trace[i].at_s = i * 0.01;
  options.warmup_s = 0.095;
  const LoadReport report = run_load(options);
  EXPECT_EQ(asked, 20);
  EXPECT_EQ(report.sent, 10u);
  EXPECT_EQ(report.done, 10u);
}

TEST(Load, SendsWhatWasAskedFor) {
  std::mutex mutex;
  std::vector<Json> bodies;
  std::set<std::string> lines, heads;
  FakeServer server([&](Peer& peer) {
    while (const auto body = peer.request()) {
      const std::lock_guard lock(mutex);
      lines.insert(peer.first_line());
      heads.insert(peer.head());
      if (!body->empty()) bodies.push_back(Json::parse(*body));
      peer.send(body->empty() ? reply(200, R"({"data":[{"id":"first"},{"id":"second"}]})")
                              : whole_stream(0, 1));
    }
  });
  LoadOptions options = options_for(server.url() + "/base/v1/");
  options.request.model = "";
  options.request.prompts = {"a", "b"};
  options.request.max_tokens = 7;
  options.request.deadline_ms = {50, 60};
  options.request.late = "no_think";
  options.request.think = false;
  options.request.effort = "low";
  options.request.temperature = 0.5;
  options.request.sampling_seed = 9;
  options.request.extra = {{"top_k", 3}};
  options.server.api_key = "secret";
  options.requests = 40;
  EXPECT_EQ(run_load(options).done, 40u);
  EXPECT_EQ(lines, (std::set<std::string>{"GET /base/v1/models HTTP/1.1",
                                          "POST /base/v1/chat/completions HTTP/1.1"}));
  for (const std::string& head : heads)
    EXPECT_NE(head.find("Authorization: Bearer secret\r\n"), std::string::npos);
  ASSERT_EQ(bodies.size(), 40u);
  std::set<int> deadlines;
  for (size_t i = 0; i < bodies.size(); ++i) {
    Json body = bodies[i];
    deadlines.insert(body["deadline_ms"].get<int>());
    body.erase("deadline_ms");
    const Json right = {{"model", "first"},
                        {"stream", true},
                        {"stream_options", {{"include_usage", true}}},
                        {"messages", {{{"role", "user"}, {"content", i % 2 ? "b" : "a"}}}},
                        {"max_tokens", 7},
                        {"late", "no_think"},
                        {"chat_template_kwargs", {{"enable_thinking", false}}},
                        {"reasoning_effort", "low"},
                        {"temperature", 0.5},
                        {"seed", 9},
                        {"top_k", 3}};
    EXPECT_EQ(body, right);
  }
  EXPECT_GE(*deadlines.begin(), 50);
  EXPECT_LE(*deadlines.rbegin(), 60);
  EXPECT_GE(deadlines.size(), 5u);
}

TEST(Load, WrongUrlsAndOptionsAreRefused) {
  for (const char* url : {"", "127.0.0.1:80", "ftp://h", "http://", "http://:80", "http://h:0",
                          "http://h:65536", "http://h:x", "http://user@h", "http://h?q", "https://h",
                          "http://a b", "grpc://h", "grpc://h:", "grpc://h:1/x", "grpcs://h:1"}) {
    LoadOptions options = options_for(url);
    options.requests = 1;
    EXPECT_THROW(run_load(options), Error) << url;
  }
  LoadOptions options = options_for("http://127.0.0.1:1");
  EXPECT_THROW(run_load(options), Error);  // without an end
  options.requests = 1;
  options.concurrency = 0;
  EXPECT_THROW(run_load(options), Error);
  options.concurrency = 1;
  options.request.prompts.clear();
  EXPECT_THROW(run_load(options), Error);
}

TEST(Load, FindsTheCapacityOfASlowServer) {
  // Four at a time, 10 ms each: 400 a second at best.
  std::mutex mutex;
  std::condition_variable changed;
  int free = 4;
  FakeServer server([&](Peer& peer) {
    while (peer.request()) {
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return free > 0; });
        --free;
      }
      std::this_thread::sleep_for(10ms);
      {
        const std::lock_guard lock(mutex);
        ++free;
      }
      changed.notify_one();
      peer.send(whole_stream(0, 1));
    }
  });
  LoadOptions options = options_for(server.url());
  options.duration_s = 0.4;
  options.warmup_s = 0.1;
  const Capacity capacity =
      find_capacity(32, [&](int concurrency) { return run_closed_loop(options, concurrency); });
  EXPECT_LE(capacity.answers_s, 405);
  EXPECT_GE(capacity.answers_s, 100);
  EXPECT_GE(capacity.concurrency, 4);
}

TEST(Load, AReportHasAllItsKeys) {
  FakeServer server(answers([](int i, const Json&) {
    return i % 2 ? reply(503, "{}") : whole_stream(1, 1, "stop", R"({"promised":true,"on_time":true})");
  }));
  LoadOptions options = options_for(server.url());
  options.request.deadline_ms = {2000, 2000};
  options.rate = 100;
  options.requests = 6;
  const LoadReport report = run_load(options);
  const auto json = to_json(report);
  for (const char* times : {"ttfb_ms", "ttft_ms", "ttfa_ms", "itl_ms", "e2e_ms", "refusal_ms"}) {
    for (const char* key : {"p50", "p95", "p99", "max"})
      EXPECT_TRUE(json[times][key].is_number()) << times << key;
  }
  EXPECT_EQ(json["done"], 3);
  EXPECT_EQ(json["on_time"], 3);
  EXPECT_EQ(json["late"], 0);
  EXPECT_EQ(json["refused"], 3);
  EXPECT_EQ(json["failed"], 0);
  EXPECT_EQ(json["on_time_share"], 1.0);
  EXPECT_TRUE(json["tok_s"].is_number());
  const std::string text = to_text(report);
  EXPECT_NE(text.find("3 refused (50.0%)"), std::string::npos) << text;
  EXPECT_NE(text.find("3 on time, 0 late"), std::string::npos) << text;
}

TEST(Load, MeasuresTernsOwnServer) {
  serve_test::TestServer server;
  LoadOptions options = options_for("http://127.0.0.1:" + std::to_string(server.port()));
  options.request.model = "";
  options.request.prompts = {"hello", "red shoes"};
  options.concurrency = 4;
  options.requests = 40;
  LoadReport report = run_load(options);
  EXPECT_EQ(report.done, 40u) << to_text(report);
  EXPECT_EQ(report.complete, 40u);
  EXPECT_EQ(report.failed, 0u);
  EXPECT_EQ(report.estimated, 0u);
  EXPECT_GT(report.reasoning_tokens, 40u);
  EXPECT_GT(report.tokens, report.reasoning_tokens);
  EXPECT_EQ(report.ttfa.count(), 40u);
  EXPECT_LE(report.ttfb.quantile(0.5), report.ttft.quantile(0.5));
  EXPECT_LE(report.ttft.quantile(0.5), report.ttfa.quantile(0.5));
  EXPECT_LE(report.ttfa.quantile(0.5), report.e2e.quantile(0.5));

  options.request.chat = false;
  options.request.max_tokens = 12;
  report = run_load(options);
  EXPECT_EQ(report.done, 40u) << to_text(report);
  EXPECT_EQ(report.tokens, 40u * 12);
  EXPECT_EQ(report.complete, 40u);  // they ended where they were asked to
}

}  // namespace
}  // namespace tern::load
