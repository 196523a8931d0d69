// Streams under way: the first event, clients that leave or don't read, full queues, the end of the server.
#include <csignal>

#include "tests/serve/fixture.h"

namespace tern::serve_test {
namespace {

constexpr const char* kChat = "/v1/chat/completions";

/// Starts a stream and reads its head and first event.
Client start_stream(const TestServer& server, const std::string& text, int receive_buffer = 0) {
  Client client(server.port(), receive_buffer);
  Json body = ask(text);
  body["stream"] = true;
  client.post(kChat, body.dump());
  EXPECT_EQ(client.response_head().status, 200);
  EXPECT_TRUE(client.event().has_value());
  return client;
}

TEST(Stream, TheFirstEventComesBeforeTheFirstToken) {
  TestServer server;
  server.gate().close();
  Client client = start_stream(server, "hello");  // throws where the event does not come
  server.gate().open();
  EXPECT_EQ(client.events().back(), "[DONE]");
}

TEST(Stream, EveryTokenIsItsOwnEventAtOnce) {
  TestServer server;
  server.gate().close();
  Client client = start_stream(server, "ab");
  server.gate().grant(1);
  EXPECT_NE(client.event()->find("\"reasoning_content\":\"h\""), std::string::npos);
  server.gate().grant(1);
  EXPECT_NE(client.event()->find("\"reasoning_content\":\"m\""), std::string::npos);
  server.gate().grant(2);
  EXPECT_NE(client.event()->find("\"content\":\"a\""), std::string::npos);
}

TEST(Stream, AClientThatLeavesIsCancelledWithinAStep) {
  TestServer server;
  for (const bool half : {false, true}) {
    server.gate().close();
    Client client = start_stream(server, "long");
    server.gate().grant(8);
    for (int i = 0; i < 4; ++i) client.event();
    half ? client.end_sending() : client.close();
    std::this_thread::sleep_for(300ms);  // for the server to notice
    const uint64_t before = server.engine().status().steps;
    server.gate().grant(2);  // the step that was waiting at the gate, and at most one more
    EXPECT_TRUE(server.idle());
    EXPECT_LE(server.engine().status().steps, before + 2);
    server.gate().open();
  }
}

TEST(Stream, AClientThatLeavesBeforeItsReplyIsCancelledToo) {
  TestServer server;
  server.gate().close();
  {
    Client client(server.port());
    client.post(kChat, ask("long").dump());
    while (server.engine().status().running == 0 && server.engine().status().waiting == 0)
      std::this_thread::yield();
  }
  std::this_thread::sleep_for(300ms);  // for the server to notice
  server.gate().grant(2);
  EXPECT_TRUE(server.idle());
}

TEST(Stream, AReaderTooSlowIsDisconnectedAndCancelled) {
  ServeOptions options;
  options.unsent_limit = 64 << 10;
  options.socket_buffer = 16 << 10;
  TestServer server(options, {}, 1 << 20);
  Client client = start_stream(server, "long", 4096);
  EXPECT_TRUE(server.idle()) << "a million tokens are not read, and not made";
}

TEST(Stream, AReaderThatStopsAfterTheEndIsDisconnected) {
  ServeOptions options;
  options.write_timeout = 200ms;
  options.socket_buffer = 4096;
  options.unsent_limit = 64 << 20;
  TestServer server(options, {}, 8192);
  Client client = start_stream(server, "long", 4096);
  EXPECT_TRUE(server.idle());
  std::this_thread::sleep_for(500ms);
  server.server().stop();
  EXPECT_TRUE(server.ended()) << "the connection is gone, nothing is waited for";
}

TEST(Stream, AFullQueueIsRefusedWithRetryAfter) {
  ServeOptions options;
  options.max_choices = 3;
  TestServer server(options);
  server.gate().close();
  Client first = start_stream(server, "one");
  Client second = start_stream(server, "two");
  Json body = ask("three");
  body["n"] = 2;
  const Response refused = chat(server, body);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.header("Retry-After"), "1");
  EXPECT_EQ(refused.json()["error"]["type"], "rate_limit_error");
  server.gate().open();
  EXPECT_EQ(first.events().back(), "[DONE]");
  EXPECT_EQ(second.events().back(), "[DONE]");
  EXPECT_EQ(chat(server, body).status, 200);
}

TEST(Stream, TheEnginesOwnQueueMayBeFullToo) {
  EngineOptions engine;
  engine.parallel = 1;
  engine.most_waiting = 1;
  TestServer server({}, engine);
  server.gate().close();
  Client first = start_stream(server, "one");
  Json body = ask("two");
  body["n"] = 2;
  EXPECT_EQ(chat(server, body).status, 429) << "the second choice did not fit, and the first was taken back";
  server.gate().open();
  EXPECT_EQ(first.events().back(), "[DONE]");
  EXPECT_TRUE(server.idle());
}

TEST(Stream, HealthTellsOfAStall) {
  ServeOptions options;
  options.stalled_after = 50ms;
  TestServer server(options);
  server.gate().close();
  Client client = start_stream(server, "hello");
  std::this_thread::sleep_for(150ms);
  Client other(server.port());
  other.get("/health");
  const Response stalled = other.response();
  EXPECT_EQ(stalled.status, 503);
  EXPECT_EQ(stalled.json()["status"], "stalled");
  server.gate().open();
  EXPECT_EQ(client.events().back(), "[DONE]");
  EXPECT_TRUE(server.idle());
  other.get("/health");
  EXPECT_EQ(other.response().status, 200);
}

TEST(Drain, RunningStreamsAreFinishedAndNewWorkRefused) {
  TestServer server;
  server.gate().close();
  Client streaming = start_stream(server, "hello");
  Client idle(server.port());
  idle.get("/health");
  EXPECT_EQ(idle.response().status, 200);
  Client half(server.port());
  const std::string body = ask("late").dump();
  half.send(
      fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", kChat, body.size()));
  std::this_thread::sleep_for(200ms);  // for the head to arrive

  server.server().stop();
  EXPECT_TRUE(idle.closed());
  half.send(body);
  const Response late = half.response();
  EXPECT_EQ(late.status, 503);
  EXPECT_EQ(late.header("Connection"), "close");
  EXPECT_THROW(
      {
        Client refused(server.port());
        refused.get("/health");
        refused.response();
      },
      std::runtime_error);

  server.gate().open();
  const std::vector<std::string> events = streaming.events();
  EXPECT_EQ(events.back(), "[DONE]");
  EXPECT_TRUE(streaming.closed());
  half.close();
  EXPECT_TRUE(server.ended());
}

TEST(Drain, TheSecondStopEndsAtOnce) {
  TestServer server;
  server.gate().close();
  Client streaming = start_stream(server, "long");
  server.server().stop();
  server.server().stop();
  EXPECT_TRUE(server.ended());
  EXPECT_TRUE(streaming.closed());
  server.gate().open();
  EXPECT_TRUE(server.idle());
}

TEST(Drain, AnIdleServerStopsAtOnce) {
  TestServer server;
  server.server().stop();
  EXPECT_TRUE(server.ended());
}

TEST(Drain, SignalsStopIt) {
  ServeOptions options;
  options.handle_signals = true;
  TestServer server(options);
  EXPECT_EQ(chat(server, ask("hello")).status, 200);  // run() is there, and the handler with it
  std::raise(SIGTERM);
  EXPECT_TRUE(server.ended());
}

TEST(Drain, AServerMayGoBeforeItsEngine) {
  for (int i = 0; i < 20; ++i) {
    TestServer server;
    Client client = start_stream(server, "long");
  }
}

TEST(Server, APortInUseIsAnErrorThatNamesIt) {
  TestServer server;
  ServeOptions options;
  options.port = server.port();
  try {
    Server second(server.engine(), options);
    FAIL() << "two servers on one port";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_NE(std::string(error.what()).find(std::to_string(server.port())), std::string::npos);
  }
}

TEST(Server, ManyClientsComeAndGo) {
  TestServer server;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&server, t] {
      Rng random(static_cast<uint64_t>(t));
      for (int i = 0; i < 25; ++i) {
        Client client(server.port());
        Json body = ask(random.chance(0.5) ? "long" : "hello");
        body["stream"] = random.chance(0.7);
        const std::string text = body.dump();
        const size_t cut = random.chance(0.3) ? random.below(text.size()) : text.size();
        client.send(fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", kChat,
                                text.size(), text.substr(0, cut)));
        std::this_thread::sleep_for(std::chrono::microseconds(random.below(3000)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_TRUE(server.idle()) << "those who left hold nothing";
  EXPECT_EQ(chat(server, ask("hello")).status, 200);
}

}  // namespace
}  // namespace tern::serve_test
