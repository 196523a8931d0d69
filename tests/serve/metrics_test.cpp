// /metrics, /ready and /stats held to loads whose every number is known.
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "serve/exposition.h"
#include "tests/serve/fixture.h"

namespace tern::serve_test {
namespace {

/// Samples by name and labels as they stand in the text.
std::map<std::string, double> scrape(const TestServer& server) {
  Client client(server.port());
  client.get("/metrics");
  const Response response = client.response();
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  std::map<std::string, double> samples;
  std::istringstream lines(response.body);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    const size_t blank = line.rfind(' ');
    EXPECT_TRUE(samples.emplace(line.substr(0, blank), std::stod(line.substr(blank + 1))).second)
        << "twice: " << line;
  }
  return samples;
}

/// "tern:NAME{model_name="tern",LABELS}"
std::string key(const std::string& name, const std::string& labels = "") {
  return name + "{model_name=\"tern\"" + (labels.empty() ? "" : "," + labels) + "}";
}

Response get(const TestServer& server, const std::string& path) {
  Client client(server.port());
  client.get(path);
  return client.response();
}

EngineOptions calibrated() {
  EngineOptions engine;
  engine.calibration_s = 0.02;
  return engine;
}

constexpr int kTokens =
    9;  // of the reply to "hello": h m </think> h e l l o <end>; the prompt opens the thinking

TEST(Metrics, CountAScriptedLoadExactly) {
  TestServer server({}, calibrated());
  Json with_deadline = ask("hello");
  with_deadline["deadline_ms"] = 60000;
  Json hopeless = ask("hello");
  hopeless["deadline_ms"] = 1;
  hopeless["answer_reserve_tokens"] = 400;
  Json cut = ask("hello");
  cut["max_tokens"] = 6;

  int prompt_tokens = 0;
  for (int i = 0; i < 5; ++i) {
    const Json reply = chat(server, ask("hello")).json();
    prompt_tokens = reply["usage"]["prompt_tokens"];
    EXPECT_EQ(reply["usage"]["completion_tokens"], kTokens);
  }
  for (int i = 0; i < 3; ++i) stream(server, "/v1/chat/completions", ask("hello"));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(chat(server, with_deadline).status, 200);
  EXPECT_EQ(chat(server, cut).status, 200);
  for (int i = 0; i < 4; ++i) EXPECT_EQ(chat(server, hopeless).status, 429);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(post(server, "/v1/chat/completions", "{").status, 400);
  EXPECT_EQ(post(server, "/v1/nothing", "{}").status, 404);
  EXPECT_EQ(post(server, "/v1/nothing/else", "{}").status, 404);
  ASSERT_TRUE(server.idle());

  const auto samples = scrape(server);
  const auto expect = [&](const std::string& name, double value) {
    ASSERT_TRUE(samples.contains(name)) << name;
    EXPECT_EQ(samples.at(name), value) << name;
  };
  const int done = 11, generated = 10 * kTokens + 6;
  for (const std::string under : {"tern:", "vllm:"}) {
    expect(key(under + "request_success_total", "finished_reason=\"stop\""), 10);
    expect(key(under + "request_success_total", "finished_reason=\"length\""), 1);
    expect(key(under + "request_success_total", "finished_reason=\"abort\""), 0);
    expect(key(under + "request_success_total", "finished_reason=\"error\""), 0);
    expect(key(under + "generation_tokens_total"), generated);
    expect(key(under + "prompt_tokens_total"), done * prompt_tokens);
    expect(key(under + "time_to_first_token_seconds_count"), done);
    expect(key(under + "e2e_request_latency_seconds_count"), done);
    expect(key(under + "inter_token_latency_seconds_count"), generated - done);
    expect(key(under + "request_queue_time_seconds_count"), done);
    expect(key(under + "request_prompt_tokens_sum"), done * prompt_tokens);
    expect(key(under + "request_generation_tokens_sum"), generated);
    expect(key(under + "request_generation_tokens_bucket", "le=\"5\""), 0);
    expect(key(under + "request_generation_tokens_bucket", "le=\"10\""), done);
    expect(key(under + "num_requests_running"), 0);
    expect(key(under + "num_requests_waiting"), 0);
    expect(key(under + "kv_cache_usage_perc"), 0);
    expect(key(under + "num_preemptions_total"), 0);
  }
  expect(key("vllm:time_per_output_token_seconds_count"), generated - done);
  expect(key("vllm:gpu_cache_usage_perc"), 0);
  expect(key("tern:time_to_first_answer_token_seconds_count"), done);
  expect(key("tern:thinking_tokens_total"), samples.at(key("tern:request_thinking_tokens_sum")));
  expect(key("tern:thinking_closed_total", "by=\"model\""), done);
  expect(key("tern:refusal_seconds_count"), 4);
  expect(key("tern:deadlines_promised_total"), 2);
  expect(key("tern:deadlines_refused_total"), 4);
  expect(key("tern:deadline_requests_total", "promised=\"true\",outcome=\"on_time\""), 2);
  expect(key("tern:deadline_requests_total", "promised=\"true\",outcome=\"late\""), 0);
  expect(key("tern:responses_total", "route=\"/v1/chat/completions\",code=\"200\""), done);
  expect(key("tern:responses_total", "route=\"/v1/chat/completions\",code=\"429\""), 4);
  expect(key("tern:responses_total", "route=\"/v1/chat/completions\",code=\"400\""), 2);
  expect(key("tern:responses_total", "route=\"other\",code=\"404\""), 2);
  EXPECT_GT(samples.at("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(samples.at("process_cpu_seconds_total"), 0);
}

TEST(Metrics, TheTimeToTheFirstTokenCountsFromTheFirstByte) {
  TestServer server;
  const std::string body = ask("hello").dump();
  Client client(server.port());
  client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n");
  std::this_thread::sleep_for(200ms);  // a client that is slow to say what it wants
  client.send("Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  EXPECT_EQ(client.response().status, 200);
  const auto samples = scrape(server);
  EXPECT_GE(samples.at(key("tern:time_to_first_token_seconds_sum")), 0.1);
  EXPECT_GE(samples.at(key("tern:e2e_request_latency_seconds_sum")),
            samples.at(key("tern:time_to_first_token_seconds_sum")));
  EXPECT_EQ(samples.at(key("tern:time_to_first_token_seconds_bucket", "le=\"0.05\"")), 0);
  EXPECT_EQ(samples.at(key("tern:time_to_first_token_seconds_bucket", "le=\"+Inf\"")), 1);
}

TEST(Metrics, AClientThatLeavesIsAnAbort) {
  TestServer server;
  leave_in_the_middle(server);
  ASSERT_TRUE(server.idle());
  const auto end = Clock::now() + 20s;
  const std::string aborted = key("vllm:request_success_total", "finished_reason=\"abort\"");
  while (scrape(server).at(aborted) == 0 && Clock::now() < end) std::this_thread::sleep_for(5ms);
  const auto samples = scrape(server);
  EXPECT_EQ(samples.at(aborted), 1);
  EXPECT_EQ(samples.at(key("tern:e2e_request_latency_seconds_count")), 0) << "it has no end to measure";
  EXPECT_EQ(samples.at(key("tern:request_generation_tokens_sum")),
            samples.at(key("tern:generation_tokens_total")))
      << "the engine's own count, not what the client saw";
}

TEST(Metrics, EachChoiceCounts) {
  TestServer server;
  Json body = ask("hello");
  body["n"] = 3;
  EXPECT_EQ(chat(server, body).status, 200);
  const auto samples = scrape(server);
  EXPECT_EQ(samples.at(key("tern:request_success_total", "finished_reason=\"stop\"")), 3);
  EXPECT_EQ(samples.at(key("tern:time_to_first_token_seconds_count")), 3);
  EXPECT_EQ(samples.at(key("tern:responses_total", "route=\"/v1/chat/completions\",code=\"200\"")), 1);
}

/// Parses what Exposition wrote for a label's value, by the format's rules.
std::string unescaped(std::string_view text) {
  std::string value;
  for (size_t i = 0; i < text.size() && text[i] != '"'; ++i) {
    const bool escape = text[i] == '\\' && i + 1 < text.size();
    if (escape) ++i;
    value += escape && text[i] == 'n' ? '\n' : text[i];
  }
  return value;
}

TEST(Exposition, LabelValuesMayHoldAnything) {
  const std::string hostile = "a\"b\\c\nd\"} 1\nevil 2\n\\";
  Exposition out({{"model_name", hostile}});
  out.gauge({"tern:x"}, "Help.", 3);
  const std::string text = out.take();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 3);
  const std::string before = "tern:x{model_name=\"";
  const size_t at = text.find(before);
  ASSERT_NE(at, std::string::npos);
  EXPECT_EQ(unescaped(std::string_view(text).substr(at + before.size())), hostile);
  EXPECT_TRUE(text.ends_with("\"} 3\n"));
}

TEST(Exposition, AHistogramIsCumulative) {
  HistogramCounts counts;
  for (const double value : {1.0, 2.0, 2.0, 7.0, 1e9}) counts.add(count_buckets(), value);
  Exposition out({});
  out.histogram({"h"}, "Help.", count_buckets(), counts);
  const std::string text = out.take();
  for (const char* line :
       {"# TYPE h histogram\n", "h_bucket{le=\"1\"} 1\n", "h_bucket{le=\"2\"} 3\n", "h_bucket{le=\"5\"} 3\n",
        "h_bucket{le=\"10\"} 4\n", "h_bucket{le=\"1000000\"} 4\n", "h_bucket{le=\"+Inf\"} 5\n",
        "h_sum 1000000012\n", "h_count 5\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(Exposition, SeriesOfSecondsHaveBoundsThatPeopleWrite) {
  Exposition out({});
  out.histogram({"h"}, "Help.", seconds_buckets(), {});
  const std::string text = out.take();
  for (const char* bound : {"1e-05", "0.001", "0.005", "0.1", "0.5", "1", "10"})
    EXPECT_NE(text.find(std::string("{le=\"") + bound + "\"}"), std::string::npos) << bound;
}

TEST(Health, AllLooksAreAnsweredAtOnceWhileTheEngineIsInAStep) {
  TestServer server({}, {}, 20000);
  server.gate().close();
  Client busy(server.port());
  Json body = ask("long " + std::string(16000, 'x'));
  body["stream"] = true;
  busy.post("/v1/chat/completions", body.dump());
  busy.response_head();
  Client client(server.port());
  std::map<std::string, double> best;
  for (int round = 0; round < 20; ++round) {
    for (const char* path : {"/health", "/ready", "/metrics", "/stats"}) {
      const TimePoint began = Clock::now();
      client.get(path);
      EXPECT_EQ(client.response().status, 200) << path;
      const double took = seconds_since(began);
      const auto at = best.emplace(path, took).first;
      at->second = std::min(at->second, took);
    }
  }
  EXPECT_EQ(server.engine().status().running + server.engine().status().waiting, 1);
#ifndef TERN_SANITIZED
  // The best of twenty: other processes may hold up some.
  for (const auto& [path, took] : best) EXPECT_LT(took, 0.005) << path;
#endif
}

TEST(Health, ReadyUntilItDrainsWhateverTheLoad) {
  TestServer server;
  EXPECT_EQ(get(server, "/ready").status, 200);
  server.gate().close();
  std::vector<Client> load;
  for (int i = 0; i < 30; ++i) {
    load.emplace_back(server.port());
    load.back().post("/v1/chat/completions", ask("hello").dump());
  }
  Client asks(server.port());
  asks.get("/ready");
  EXPECT_EQ(asks.response().status, 200);
  EXPECT_EQ(get(server, "/ready").json()["status"], "ready");

  // A request that has begun when the server is told to stop is still answered.
  asks.send("GET /ready HTTP/1.1\r\nHost: localhost\r\n");
  const auto end = Clock::now() + 20s;
  while (server.engine().status().waiting + server.engine().status().running < 30 && Clock::now() < end)
    std::this_thread::sleep_for(1ms);
  std::this_thread::sleep_for(50ms);
  server.server().stop();
  std::this_thread::sleep_for(50ms);
  asks.send("\r\n");
  const Response response = asks.response();
  EXPECT_EQ(response.status, 503);
  EXPECT_EQ(response.json()["status"], "draining");
  server.gate().open();
  EXPECT_TRUE(server.ended());
}

TEST(Stats, HaveTheKeysThatThePageReads) {
  TestServer server({}, calibrated());
  const Json idle = get(server, "/stats").json();
  EXPECT_TRUE(idle["ttft_ms"]["p50"].is_null()) << "nothing happened";
  EXPECT_EQ(idle["tokens_per_s"], 0);
  for (int i = 0; i < 4; ++i) chat(server, ask("hello"));
  Json with_deadline = ask("hello");
  with_deadline["deadline_ms"] = 60000;
  chat(server, with_deadline);
  ASSERT_TRUE(server.idle());

  const Json stats = get(server, "/stats").json();
  std::set<std::string> keys;
  for (const auto& [name, value] : stats.items()) keys.insert(name);
  EXPECT_EQ(keys, (std::set<std::string>{"model", "uptime_s", "running", "waiting", "parallel", "step_ms",
                                         "tokens_per_s", "prompt_tokens_per_s", "gbps", "router_share",
                                         "cache_usage", "deadlines", "ttft_ms", "itl_ms", "queue_ms",
                                         "stages_us", "experts"}));
  EXPECT_EQ(stats["model"], "tern");
  EXPECT_EQ(stats["running"], 0);
  EXPECT_EQ(stats["parallel"], EngineOptions().parallel);
  EXPECT_EQ(stats["deadlines"], Json({{"promised", 1}, {"on_time", 1}, {"late", 0}, {"refused", 0}}));
  EXPECT_GT(stats["tokens_per_s"], 0);
  EXPECT_GT(stats["uptime_s"], 0);
  EXPECT_NEAR(stats["tokens_per_s"].get<double>() / stats["prompt_tokens_per_s"].get<double>(), kTokens / 9.0,
              0.5);
  for (const char* pair : {"step_ms", "ttft_ms", "itl_ms", "queue_ms"}) {
    EXPECT_GT(stats[pair]["p50"], 0) << pair;
    EXPECT_GE(stats[pair]["p99"], stats[pair]["p50"]) << pair;
  }
  EXPECT_EQ(stats["stages_us"].size(), 6u);
  EXPECT_EQ(stats["experts"], Json::array()) << "the model has none";
}

}  // namespace
}  // namespace tern::serve_test
