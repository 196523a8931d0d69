// What the server does with bytes: routes, limits, time, connections that end early.
#include "tests/serve/fixture.h"

namespace tern::serve_test {
namespace {

constexpr const char* kChat = "/v1/chat/completions";

ServeOptions quick() {
  ServeOptions options;
  options.header_timeout = options.body_timeout = options.idle_timeout = options.linger = 400ms;
  return options;
}

/// Sends bytes on a fresh connection and gives the answer.
Response raw(const TestServer& server, const std::string& bytes) {
  Client client(server.port());
  client.send(bytes);
  return client.response();
}

void expect_error(const Response& response, int status, const char* type) {
  EXPECT_EQ(response.status, status) << response.head << response.body;
  EXPECT_EQ(response.header("Content-Type"), "application/json");
  const Json error = response.json()["error"];
  EXPECT_EQ(error["type"], type);
  EXPECT_TRUE(error["message"].is_string() && error.contains("param") && error.contains("code"));
}

TEST(Http, HealthAndModels) {
  ServeOptions options;
  options.alias = "shop/search";
  TestServer server(options);
  Client client(server.port());
  client.get("/health");
  EXPECT_EQ(client.response().json()["status"], "ok");
  client.get("/v1/models?limit=5");
  const Json models = client.response().json();
  EXPECT_EQ(models["object"], "list");
  EXPECT_EQ(models["data"][0]["id"], "shop/search");
  EXPECT_EQ(models["data"][0]["max_model_len"], 512);
  for (const char* path : {"/v1/models/shop/search", "/v1/models/shop%2Fsearch"}) {
    client.get(path);
    EXPECT_EQ(client.response().json()["object"], "model") << path;
  }
  client.get("/v1/models/other");
  const Response other = client.response();
  expect_error(other, 404, "not_found_error");
  EXPECT_EQ(other.json()["error"]["code"], "model_not_found");
}

TEST(Http, OnlyTheServersModelIsThere) {
  TestServer server;
  Json body = ask("hello");
  body["model"] = "gpt-4";
  const Response response = chat(server, body);
  expect_error(response, 404, "not_found_error");
  EXPECT_EQ(response.json()["error"]["param"], "model");
  body["model"] = "tern";
  EXPECT_EQ(chat(server, body).status, 200);
}

TEST(Http, UnknownPathsAndMethods) {
  TestServer server;
  Client client(server.port());
  client.get("/nothing");
  expect_error(client.response(), 404, "not_found_error");
  client.get("/v1/modelsx");
  expect_error(client.response(), 404, "not_found_error");
  client.get(kChat);
  const Response get = client.response();
  expect_error(get, 405, "invalid_request_error");
  EXPECT_EQ(get.header("Allow"), "POST");
  client.send("OPTIONS /v1/completions HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Response options = client.response();
  EXPECT_EQ(options.status, 405);
  EXPECT_EQ(options.head.find("Access-Control"), std::string::npos);
  client.post("/health", "");
  EXPECT_EQ(client.response().header("Allow"), "GET, HEAD");
  client.send("HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Response head = client.response(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_NE(head.header("Content-Length"), "0");
  client.get("/health");
  EXPECT_EQ(client.response().status, 200) << "the connection goes on after HEAD";
}

TEST(Http, BadBodiesAreErrorObjectsAndTheConnectionGoesOn) {
  TestServer server;
  Client client(server.port());
  for (const char* body : {"", "{", "[]", "{\"messages\": 5}",
                           "{\"messages\": [{\"role\": \"user\", \"content\": \"\xff\"}]}"}) {
    client.post(kChat, body);
    expect_error(client.response(), 400, "invalid_request_error");
  }
  client.post(kChat, ask("hello").dump());
  EXPECT_EQ(client.response().status, 200);
}

TEST(Http, PromptsBeyondTheContextAreRefused) {
  TestServer server;
  for (const size_t size : {509u, 100'000u}) {  // by tokens; by bytes, before there are tokens
    const Response response = chat(server, ask(std::string(size, 'x')));
    expect_error(response, 400, "invalid_request_error");
    EXPECT_EQ(response.json()["error"]["code"], "context_length_exceeded") << size;
  }
  const Response ids = post(server, "/v1/completions", R"({"prompt": [100000]})");
  expect_error(ids, 400, "invalid_request_error");
  EXPECT_EQ(ids.json()["error"]["param"], "prompt");
}

TEST(Http, OversizedBodies) {
  ServeOptions options;
  options.body_limit = 10'000;
  TestServer server(options);
  Client declared(server.port());
  declared.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10001\r\n\r\n");
  expect_error(declared.response(), 413, "invalid_request_error");
  EXPECT_TRUE(declared.closed());

  const std::string huge =
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 18446744073709551615\r\n\r\n";
  expect_error(raw(server, huge), 413, "invalid_request_error");

  Client chunked(server.port());
  chunked.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 11; ++i) chunked.send("3e8\r\n" + std::string(1000, ' ') + "\r\n");
  expect_error(chunked.response(), 413, "invalid_request_error");

  EXPECT_EQ(post(server, kChat, std::string(10'000, ' ')).status, 400) << "the limit itself is read";
}

TEST(Http, OversizedHeads) {
  TestServer server;
  const std::string start = "GET /health HTTP/1.1\r\nHost: localhost\r\n";
  expect_error(raw(server, start + "X: " + std::string(17 << 10, 'x') + "\r\n\r\n"), 431,
               "invalid_request_error");
  expect_error(raw(server, "GET /" + std::string(40 << 10, 'x') + " HTTP/1.1\r\n"), 431,
               "invalid_request_error");
  std::string many = start;
  for (int i = 0; i < 4000; ++i) many += fmt::format("X-{}: y\r\n", i);
  expect_error(raw(server, many + "\r\n"), 431, "invalid_request_error");
  EXPECT_EQ(raw(server, start + "X: " + std::string(8 << 10, 'x') + "\r\n\r\n").status, 200);
  // A chunk's extension without end.
  const std::string chunked =
      "POST /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5;a=";
  EXPECT_GE(raw(server, chunked + std::string(64 << 10, 'x')).status, 400);
}

TEST(Http, WhatIsNoHttp) {
  TestServer server;
  const std::string host = "Host: localhost\r\n";
  for (const std::string& bytes :
       {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 tls hello\r\n\r\n", 26),
        "GET / HTTP/9.9\r\n" + host + "\r\n", "G ET / HTTP/1.1\r\n" + host + "\r\n",
        "GET / HTTP/1.1\r\n" + host + "Bad Header: x\r\n\r\n",
        "GET / HTTP/1.1\r\n" + host + "Content-Length: -5\r\n\r\n",
        "GET / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "GET / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /v1/completions HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    Client client(server.port());
    client.send(bytes);
    expect_error(client.response(), 400, "invalid_request_error");
    EXPECT_TRUE(client.closed()) << bytes;
  }
  EXPECT_EQ(chat(server, ask("hello")).status, 200);
}

TEST(Http, OneHostThatIsOurs) {
  TestServer server;
  const auto with = [&](const std::string& headers, const char* version = "1.1") {
    return raw(server, fmt::format("GET /health HTTP/{}\r\n{}\r\n", version, headers)).status;
  };
  EXPECT_EQ(with("Host: localhost\r\n"), 200);
  EXPECT_EQ(with("Host: LocalHost:1234\r\n"), 200);
  EXPECT_EQ(with("Host: 127.0.0.1:8080\r\n"), 200);
  EXPECT_EQ(with("Host: [::1]:8080\r\n"), 200);
  EXPECT_EQ(with("Host: evil.example\r\n"), 403);
  EXPECT_EQ(with("Host: localhost.evil.example\r\n"), 403);
  EXPECT_EQ(with("Host: 127.0.0.1.evil.example:80\r\n"), 403);
  EXPECT_EQ(with("Host: localhost\r\nHost: evil.example\r\n"), 400);
  EXPECT_EQ(with(""), 400);
  EXPECT_EQ(with("", "1.0"), 200) << "HTTP/1.0 needs none, and no browser speaks it";
  EXPECT_EQ(with("Host: localhost\r\nOrigin: http://localhost:3000\r\n"), 200);
  EXPECT_EQ(with("Host: localhost\r\nOrigin: https://evil.example\r\n"), 403);
  EXPECT_EQ(with("Host: localhost\r\nOrigin: null\r\n"), 403);
}

TEST(Http, PipelinedRequestsAreAnsweredInOrder) {
  TestServer server;
  Client client(server.port());
  std::string bytes;
  const std::string body = ask("hello").dump();
  for (int i = 0; i < 50; ++i) {
    bytes += "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    bytes += fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}", kChat,
                         body.size(), body);
  }
  client.send(bytes);
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(client.response().json()["status"], "ok");
    EXPECT_EQ(client.response().json()["choices"][0]["message"]["content"], "hello");
  }
}

TEST(Http, ARequestMayComeByteByByteAndInChunks) {
  TestServer server;
  Client client(server.port());
  const std::string body = ask("hello").dump();
  std::string bytes =
      fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", kChat);
  for (const char c : body) bytes += fmt::format("1;x=y\r\n{}\r\n", c);
  bytes += "0\r\nTrailer: x\r\n\r\n";
  for (const char c : bytes) client.send(std::string_view(&c, 1));
  EXPECT_EQ(client.response().json()["choices"][0]["message"]["content"], "hello");
  client.get("/health");
  EXPECT_EQ(client.response().status, 200);
}

TEST(Http, ExpectedContinueIsSent) {
  TestServer server;
  Client client(server.port());
  const std::string body = ask("hello").dump();
  client.send(
      fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
                  kChat, body.size()));
  EXPECT_EQ(client.response_head().status, 100);
  client.send(body);
  EXPECT_EQ(client.response().status, 200);
}

TEST(Http, KeepAliveEndsWhereTheClientSaysSo) {
  TestServer server;
  Client closing(server.port());
  closing.send("GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(closing.response().header("Connection"), "close");
  EXPECT_TRUE(closing.closed());
  Client old(server.port());
  old.send("GET /health HTTP/1.0\r\n\r\n");
  EXPECT_EQ(old.response().status, 200);
  EXPECT_TRUE(old.closed());
}

TEST(Http, OldClientsGetStreamsWithoutChunks) {
  TestServer server;
  Client client(server.port());
  Json body = ask("hello");
  body["stream"] = true;
  const std::string text = body.dump();
  client.send(fmt::format("POST {} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{}", kChat, text.size(), text));
  const Response head = client.response_head();
  EXPECT_EQ(head.header("Transfer-Encoding"), "");
  EXPECT_EQ(head.header("Connection"), "close");
  EXPECT_TRUE(client.closed());
}

TEST(Http, AReplyIsReadByAClientThatClosedItsSide) {
  TestServer server;
  Client client(server.port());
  client.get("/health");
  client.end_sending();
  EXPECT_EQ(client.response().status, 200);
}

TEST(Timeouts, SlowHeadsSlowBodiesAndSilence) {
  TestServer server(quick());
  Client silent(server.port());
  EXPECT_TRUE(silent.closed());

  Client slow_head(server.port());
  slow_head.send("GET /health HTTP/1.1\r\n");
  expect_error(slow_head.response(), 408, "invalid_request_error");
  EXPECT_TRUE(slow_head.closed());

  Client slow_body(server.port());
  slow_body.send("POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{");
  expect_error(slow_body.response(), 408, "invalid_request_error");

  Client idle(server.port());
  idle.get("/health");
  EXPECT_EQ(idle.response().status, 200);
  EXPECT_TRUE(idle.closed());
}

TEST(Timeouts, DripsDoNotExtendTheTimeOfAHead) {
  TestServer server(quick());
  Client client(server.port());
  const TimePoint start = Clock::now();
  bool cut = false;
  while (!cut && seconds_since(start) < 3) {
    try {
      client.send("X");
    } catch (const std::exception&) {
      cut = true;
    }
    std::this_thread::sleep_for(20ms);
  }
  EXPECT_TRUE(cut);
}

TEST(Timeouts, ALongAnswerHasNone) {
  TestServer server(quick());
  server.gate().close();
  Client client(server.port());
  client.post(kChat, ask("hello").dump());
  std::this_thread::sleep_for(1000ms);
  server.gate().open();
  EXPECT_EQ(client.response().status, 200);
}

}  // namespace
}  // namespace tern::serve_test
