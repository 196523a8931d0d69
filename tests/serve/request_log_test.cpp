// One line a request, that nothing can forge and nobody can block.
#include "serve/request_log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/serve/fixture.h"

namespace tern::serve_test {
namespace {

/// A pipe whose reading end is the test's.
class Pipe {
 public:
  Pipe() {
    if (::pipe(ends_) != 0) throw std::runtime_error("pipe");
  }
  ~Pipe() {
    close_reader();
    ::close(ends_[1]);
  }
  int writer() const { return ends_[1]; }
  void close_reader() {
    if (ends_[0] >= 0) ::close(ends_[0]);
    ends_[0] = -1;
  }
  /// The next line, without its end; waits for it up to twenty seconds.
  std::string line() {
    const auto end = Clock::now() + 20s;
    ::fcntl(ends_[0], F_SETFL, O_NONBLOCK);
    for (;;) {
      if (const size_t at = inbox_.find('\n'); at != std::string::npos) {
        const std::string line = inbox_.substr(0, at);
        inbox_.erase(0, at + 1);
        return line;
      }
      char bytes[4096];
      const ssize_t n = ::read(ends_[0], bytes, sizeof(bytes));
      if (n > 0) inbox_.append(bytes, static_cast<size_t>(n));
      if (Clock::now() > end) return "";
      if (n <= 0) std::this_thread::sleep_for(1ms);
    }
  }
  Json json() { return Json::parse(line()); }

 private:
  int ends_[2] = {-1, -1};
  std::string inbox_;
};

ServeOptions logging(const Pipe& pipe) {
  ServeOptions options;
  options.log = LogFormat::json;
  options.log_fd = pipe.writer();
  return options;
}

TEST(RequestLog, ARequestIsALine) {
  Pipe pipe;
  TestServer server(logging(pipe));
  Client client(server.port());
  client.post("/v1/chat/completions", ask("hello").dump(),
              "X-Request-Id: mine-7\r\n"
              "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n");
  const Response response = client.response();
  EXPECT_EQ(response.header("X-Request-Id"), "mine-7");
  const Json line = pipe.json();
  EXPECT_EQ(line["id"], response.json()["id"]);
  EXPECT_EQ(line["request_id"], "mine-7");
  EXPECT_EQ(line["method"], "POST");
  EXPECT_EQ(line["route"], "/v1/chat/completions");
  EXPECT_EQ(line["status"], 200);
  EXPECT_EQ(line["finish_reason"], "stop");
  EXPECT_EQ(line["prompt_tokens"], response.json()["usage"]["prompt_tokens"]);
  EXPECT_EQ(line["completion_tokens"], 9);
  EXPECT_EQ(line["thinking_tokens"],
            response.json()["usage"]["completion_tokens_details"]["reasoning_tokens"]);
  EXPECT_EQ(line["closed_by"], "model");
  EXPECT_GT(line["ttft_ms"], 0);
  EXPECT_GE(line["e2e_ms"], line["ttft_ms"]);
  EXPECT_EQ(line["bytes_sent"], response.head.size() + response.body.size());
  EXPECT_EQ(line["client_closed"], false);
  EXPECT_EQ(line["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
  EXPECT_EQ(line["parent_id"], "00f067aa0ba902b7");
  EXPECT_EQ(line["span_id"].get<std::string>().size(), 16u);
  EXPECT_FALSE(line.contains("deadline_ms"));
  EXPECT_FALSE(line.contains("prompts")) << "text only where the operator asks for it";
  EXPECT_EQ(line.dump().find("hello"), std::string::npos);
  const std::string time = line["time"];
  EXPECT_EQ(time.size(), std::string("2026-01-01T00:00:00.000Z").size());
}

TEST(RequestLog, DeadlinesAndRefusalsAreTold) {
  Pipe pipe;
  EngineOptions engine;
  engine.calibration_s = 0.02;
  TestServer server(logging(pipe), engine);
  Json body = ask("hello");
  body["deadline_ms"] = 60000;
  chat(server, body);
  Json line = pipe.json();
  EXPECT_EQ(line["deadline_ms"], 60000);
  EXPECT_EQ(line["promised"], true);
  EXPECT_EQ(line["on_time"], true);
  body["deadline_ms"] = 1;
  const auto ask_late = [&] {  // the deadline counts from the first byte, and is over when the last one comes
    const std::string text = body.dump();
    Client client(server.port());
    client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n");
    std::this_thread::sleep_for(50ms);
    client.send("Content-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text);
    return client.response().status;
  };
  EXPECT_EQ(ask_late(), 429);
  line = pipe.json();
  EXPECT_EQ(line["status"], 429);
  EXPECT_EQ(line["promised"], false);
  EXPECT_EQ(line["on_time"], false);
  EXPECT_FALSE(line.contains("finish_reason"));
  body["late"] = "best_effort";
  EXPECT_EQ(ask_late(), 200);
  line = pipe.json();
  EXPECT_EQ(line["promised"], false);
}

TEST(RequestLog, WhatFailsIsToldAndWhatOnlyLooksIsNot) {
  Pipe pipe;
  TestServer server(logging(pipe));
  for (const char* path : {"/health", "/ready", "/metrics", "/stats", "/v1/models"}) {
    Client client(server.port());
    client.get(path);
    EXPECT_EQ(client.response().status, 200);
  }
  {
    Client client(server.port());
    client.send("nonsense\r\n\r\n");
    EXPECT_EQ(client.response().status, 400);
  }
  Json line = pipe.json();
  EXPECT_EQ(line["status"], 400);
  EXPECT_EQ(line["route"], "other");
  {
    Client client(server.port());
    client.get("/v1/models/\x1b[31m%0aevil\"");
    client.response();
  }
  line = pipe.json();
  EXPECT_GE(line["status"], 400);
  post(server, "/v1/chat/completions", "{");
  line = pipe.json();
  EXPECT_EQ(line["status"], 400);
  EXPECT_EQ(line["route"], "/v1/chat/completions");
}

TEST(RequestLog, AClientThatLeavesIsToldWithTheEnginesCount) {
  Pipe pipe;
  TestServer server(logging(pipe));
  leave_in_the_middle(server);
  Json line = pipe.json();
  EXPECT_EQ(line["client_closed"], true);
  EXPECT_EQ(line["finish_reason"], "abort");
  EXPECT_EQ(line["status"], 200);
  // One that has not seen a status yet.
  server.gate().close();
  {
    Client client(server.port());
    client.post("/v1/chat/completions", ask("long").dump());
    const auto end = Clock::now() + 20s;
    while (server.engine().status().running + server.engine().status().waiting == 0 && Clock::now() < end)
      std::this_thread::sleep_for(1ms);
  }
  std::this_thread::sleep_for(300ms);
  server.gate().open();
  line = pipe.json();
  EXPECT_EQ(line["status"], 499);
  EXPECT_EQ(line["finish_reason"], "abort");
}

TEST(RequestLog, TextsOnlyWhereAskedFor) {
  Pipe pipe;
  ServeOptions options = logging(pipe);
  options.log_prompts = true;
  TestServer server(options);
  Json body = ask("hello");
  body["n"] = 2;
  chat(server, body);
  const Json line = pipe.json();
  ASSERT_EQ(line["prompts"].size(), 1u) << "both choices have the same";
  EXPECT_NE(line["prompts"][0].get<std::string>().find("hello"), std::string::npos);
  ASSERT_EQ(line["replies"].size(), 2u);
  EXPECT_NE(line["replies"][1].get<std::string>().find("hello"), std::string::npos);
  EXPECT_EQ(line["finish_reason"], "stop,stop");
}

RequestRecord hostile_record() {
  const std::string evil = "x\n{\"status\": 200}\r\x1b[2J\" status=200 \xff\xc3(\xe2\x80\xa8\x7f";
  RequestRecord record;
  record.id = record.request_id = record.method = record.route = record.path = evil;
  record.path += "!";
  record.finish_reason = record.closed_by = evil;
  record.status = 400;
  record.with_text = true;
  record.prompts = record.replies = {evil, ""};
  return record;
}

TEST(RequestLog, NothingBreaksOutOfItsLine) {
  for (const std::string& line : {json_line(hostile_record()), text_line(hostile_record())}) {
    ASSERT_TRUE(line.ends_with('\n'));
    for (const char c : line.substr(0, line.size() - 1)) {
      EXPECT_GE(c, ' ') << line;  // no control characters, and ASCII only
      EXPECT_LE(c, '~') << line;
    }
  }
  const Json json = Json::parse(json_line(hostile_record()));
  EXPECT_EQ(json["status"], 400);
  EXPECT_EQ(json["method"].get<std::string>().substr(0, 3), "x\n{");
  // Outside of quotes there is one status.
  const std::string text = text_line(hostile_record());
  std::string outside;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (!quoted) {
      outside += text[i];
    }
  }
  EXPECT_FALSE(quoted);
  EXPECT_EQ(outside.find("status=200"), std::string::npos) << outside;
  EXPECT_NE(outside.find("status=400"), std::string::npos) << outside;
}

TEST(LineWriter, AReaderThatSleepsHoldsNobodyUp) {
  Pipe pipe;
  const TimePoint began = Clock::now();
  uint64_t dropped = 0;
  {
    LineWriter writer(pipe.writer());
    const std::string line(1000, 'x');
    double slowest = 0;
    for (int i = 0; i < 10000; ++i) {  // 10 MB into a pipe of 64 KiB
      const TimePoint before = Clock::now();
      writer.write(line);
      slowest = std::max(slowest, seconds_since(before));
    }
    dropped = writer.dropped();
    EXPECT_LT(slowest, 0.5);
  }
  EXPECT_GT(dropped, 5000u);
  EXPECT_LT(seconds_since(began), 10);
}

TEST(LineWriter, AReaderThatLeftEndsNothing) {
  Pipe pipe;
  pipe.close_reader();
  LineWriter writer(pipe.writer());
  writer.write("nobody reads this\n");
  const auto end = Clock::now() + 20s;
  while (writer.dropped() == 0 && Clock::now() < end) std::this_thread::sleep_for(1ms);
  EXPECT_EQ(writer.dropped(), 1u);
}

TEST(LineWriter, KeepsTheOrderAndLosesNothingThatIsRead) {
  Pipe pipe;
  auto writer = std::make_unique<LineWriter>(pipe.writer());
  for (int i = 0; i < 1000; ++i) writer->write(std::to_string(i) + std::string(i % 50, ' ') + "\n");
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(std::stoi(pipe.line()), i);
  EXPECT_EQ(writer->dropped(), 0u);
}

}  // namespace
}  // namespace tern::serve_test
