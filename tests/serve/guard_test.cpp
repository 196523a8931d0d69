// Keys, limits and pages as clients meet them over HTTP.
#include <sys/stat.h>

#include <csignal>

#include "base/atomic_file.h"
#include "serve/keys.h"
#include "tests/serve/fixture.h"
#include "tests/temporary_folder.h"

namespace tern::serve_test {
namespace {

constexpr const char* kChat = "/v1/chat/completions";

/// A server that asks for keys: `shop` without limits, `lab` with few requests, `tiny` with few tokens.
class Keyed : public testing::Test {
 protected:
  Keyed() {
    write_keys();
    options.key_file = path;
  }
  void write_keys() {
    write_file(path, key_line(shop, {"shop", {}}) + "\n" + key_line(lab, {"lab", {3, 0}}) + "\n" +
                         key_line(tiny, {"tiny", {0, 20}}));
  }
  static std::string bearer(const std::string& key) { return "Authorization: Bearer " + key + "\r\n"; }
  static Response ask_with(Client& client, const std::string& headers, const char* text = "hello") {
    client.post(kChat, ask(text).dump(), headers);
    return client.response();
  }

  TemporaryFolder folder;
  const std::string path = folder / "keys";
  const std::string shop = new_key(), lab = new_key(), tiny = new_key();
  ServeOptions options;
};

void expect_unauthorized(const Response& response) {
  EXPECT_EQ(response.status, 401) << response.head;
  EXPECT_TRUE(response.header("WWW-Authenticate").starts_with("Bearer"));
  const Json error = response.json()["error"];
  EXPECT_EQ(error["code"], "invalid_api_key");
  EXPECT_EQ(error["type"], "authentication_error");
}

TEST_F(Keyed, OnlyAKeyOpens) {
  TestServer server(options);
  {
    Client client(server.port());
    EXPECT_EQ(ask_with(client, bearer(shop)).status, 200);
    EXPECT_EQ(ask_with(client, "authorization:  bearer   " + shop + " \r\n").status, 200);
  }
  for (const std::string& headers :
       {std::string(), bearer("none"), bearer(""), "Authorization: " + shop + "\r\n",
        "Authorization: Basic " + shop + "\r\n", bearer(shop.substr(0, shop.size() - 1)), bearer(shop + "x"),
        "X-API-Key: " + shop + "\r\n", bearer(shop) + bearer(shop),
        std::string("Authorization: Bearer\r\n")}) {
    Client client(server.port());
    expect_unauthorized(ask_with(client, headers));
    EXPECT_TRUE(client.closed()) << "its body isn't waited for";
  }
}

TEST_F(Keyed, WhatIsOpenStaysOpen) {
  TestServer server(options);
  Client client(server.port());
  client.get("/health");
  EXPECT_EQ(client.response().status, 200);
  client.get("/v1/models");
  expect_unauthorized(client.response());
  client.get("/v1/models/tern");
  expect_unauthorized(client.response());
  client.send("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n" + bearer(lab) + "\r\n");
  EXPECT_EQ(client.response().status, 200) << "without a body the connection goes on";
}

TEST_F(Keyed, WithoutAKeyNoBodyIsTaken) {
  TestServer server(options);
  Client client(server.port());
  client.send(
      "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: "
      "4000000\r\n\r\n");
  expect_unauthorized(client.response());
}

TEST_F(Keyed, RequestsAMinute) {
  TestServer server(options);
  Client client(server.port());
  for (int i = 0; i < 3; ++i) EXPECT_EQ(ask_with(client, bearer(lab)).status, 200);
  const Response response = ask_with(client, bearer(lab));
  EXPECT_EQ(response.status, 429);
  EXPECT_EQ(response.json()["error"]["code"], "rate_limit_exceeded");
  const int ms = std::stoi(response.header("retry-after-ms"));
  EXPECT_GT(ms, 10'000);
  EXPECT_LE(ms, 20'000);
  EXPECT_EQ(std::stoi(response.header("Retry-After")), (ms + 999) / 1000);
  EXPECT_EQ(ask_with(client, bearer(shop)).status, 200) << "another key has its own";
  client.get("/health");
  EXPECT_EQ(client.response().status, 200);
}

TEST_F(Keyed, TokensAMinuteCountWhatIsStillRunning) {
  TestServer server(options);
  Client streaming(server.port());
  Json body = ask("long");
  body["stream"] = true;
  streaming.post(kChat, body.dump(), bearer(tiny));
  EXPECT_EQ(streaming.response_head().status, 200);
  for (int i = 0; i < 25; ++i) streaming.event();
  Client client(server.port());
  EXPECT_EQ(ask_with(client, bearer(tiny)).status, 429);
  EXPECT_EQ(ask_with(client, bearer(shop)).status, 200);
}

TEST_F(Keyed, TheFileIsReadAgain) {
  TestServer server(options);
  const std::string fresh = new_key();
  write_file(path, "broken");
  EXPECT_NE(server.server().guard().reload().find("the old keys stay"), std::string::npos);
  Client client(server.port());
  EXPECT_EQ(ask_with(client, bearer(shop)).status, 200);
  write_file(path, key_line(fresh, {"shop", {}}));
  EXPECT_NE(server.server().guard().reload().find("1 keys"), std::string::npos);
  EXPECT_EQ(ask_with(client, bearer(fresh)).status, 200);
  expect_unauthorized(ask_with(client, bearer(shop)));
}

TEST_F(Keyed, AHangupReadsItAgain) {
  options.handle_signals = true;
  TestServer server(options);
  const std::string fresh = new_key();
  {
    Client client(server.port());
    EXPECT_EQ(ask_with(client, bearer(shop)).status, 200);  // the handler is there
  }
  write_file(path, key_line(fresh, {"shop", {}}));
  std::raise(SIGHUP);
  bool opened = false;
  for (int i = 0; i < 2000 && !opened; ++i) {
    Client client(server.port());
    opened = ask_with(client, bearer(fresh)).status == 200;
    if (!opened) std::this_thread::sleep_for(1ms);
  }
  EXPECT_TRUE(opened);
}

TEST_F(Keyed, ABrokenFileStartsNoServer) {
  write_file(path, "shop");
  EXPECT_THROW(TestServer server(options), Error);
  options.key_file = folder / "missing";
  EXPECT_THROW(TestServer server(options), Error);
}

TEST(Limited, WithoutKeysAddressesHaveTheLimits) {
  ServeOptions options;
  options.rate_limit.requests = 2;
  options.trusted_proxies = {"127.0.0.1"};
  TestServer server(options);
  Client client(server.port());
  const auto status = [&](const std::string& forwarded) {
    client.post(kChat, ask("hello").dump(),
                forwarded.empty() ? "" : "X-Forwarded-For: " + forwarded + "\r\n");
    return client.response().status;
  };
  EXPECT_EQ(status("9.9.9.9"), 200);
  EXPECT_EQ(status("9.9.9.9"), 200);
  EXPECT_EQ(status("9.9.9.9"), 429);
  EXPECT_EQ(status("6.6.6.6, 9.9.9.9"), 429) << "who claims to stand behind is not asked";
  EXPECT_EQ(status("9.9.9.9\r\nX-Forwarded-For: 8.8.8.8"), 200) << "two headers are one list";
  EXPECT_EQ(status("2001:db8::1"), 200);
  EXPECT_EQ(status("2001:db8::2"), 200);
  EXPECT_EQ(status("2001:db8::3"), 429) << "one network of 64 bits is one client";
  EXPECT_EQ(status(""), 200);
}

TEST(Limited, AForeignHeaderIsNotBelieved) {
  ServeOptions options;
  options.rate_limit.requests = 1;
  TestServer server(options);
  Client client(server.port());
  client.post(kChat, ask("hello").dump(), "X-Forwarded-For: 1.1.1.1\r\n");
  EXPECT_EQ(client.response().status, 200);
  client.post(kChat, ask("hello").dump(), "X-Forwarded-For: 2.2.2.2\r\n");
  EXPECT_EQ(client.response().status, 429);
}

TEST(Limited, NAndMaxTokensHaveTheOperatorsCeilings) {
  ServeOptions options;
  options.max_n = 2;
  options.max_tokens_limit = 10;
  TestServer server(options);
  Json body = ask("long");
  body["max_tokens"] = 400;
  const Json reply = chat(server, body).json();
  EXPECT_EQ(reply["usage"]["completion_tokens"], 10);
  EXPECT_EQ(reply["choices"][0]["finish_reason"], "length");
  body["n"] = 2;
  EXPECT_EQ(chat(server, body).json()["choices"].size(), 2u);
  body["n"] = 3;
  const Response refused = chat(server, body);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.json()["error"]["param"], "n");
}

TEST(Pages, OnlyAllowedOnesGetHeaders) {
  ServeOptions options;
  options.allowed_origins = {"https://shop.example"};
  TestServer server(options);
  Client client(server.port());
  client.post(kChat, ask("hello").dump(), "Origin: https://shop.example\r\n");
  const Response allowed = client.response();
  EXPECT_EQ(allowed.status, 200);
  EXPECT_EQ(allowed.header("Access-Control-Allow-Origin"), "https://shop.example");
  EXPECT_EQ(allowed.header("Vary"), "Origin");
  client.post(kChat, "{", "Origin: https://shop.example\r\n");
  EXPECT_EQ(client.response().header("Access-Control-Allow-Origin"), "https://shop.example") << "errors, too";
  client.get("/health");
  const Response own = client.response();
  EXPECT_EQ(own.header("Vary"), "Origin");
  EXPECT_EQ(own.head.find("Access-Control"), std::string::npos);
  Json body = ask("hello");
  body["stream"] = true;
  client.post(kChat, body.dump(), "Origin: https://shop.example\r\n");
  EXPECT_EQ(client.response_head().header("Access-Control-Allow-Origin"), "https://shop.example");
  client.events();
  client.post(kChat, ask("hello").dump(), "Origin: https://evil.example\r\n");
  const Response foreign = client.response();
  EXPECT_EQ(foreign.status, 403);
  EXPECT_EQ(foreign.head.find("Access-Control"), std::string::npos);
}

TEST(Pages, PreflightsAreAnsweredForAllowedOnes) {
  ServeOptions options;
  options.allowed_origins = {"https://shop.example"};
  TestServer server(options);
  Client client(server.port());
  const auto preflight = [&](const std::string& origin) {
    client.send(
        "OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nOrigin: " + origin +
        "\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n\r\n");
    return client.response();
  };
  const Response yes = preflight("https://shop.example");
  EXPECT_EQ(yes.status, 204);
  EXPECT_EQ(yes.header("Access-Control-Allow-Origin"), "https://shop.example");
  EXPECT_EQ(yes.header("Access-Control-Allow-Methods"), "POST");
  EXPECT_NE(yes.header("Access-Control-Allow-Headers").find("Authorization"), std::string::npos);
  EXPECT_EQ(yes.header("Content-Length"), "");
  EXPECT_EQ(yes.head.find('*'), std::string::npos);
  EXPECT_EQ(preflight("https://evil.example").status, 403);
  EXPECT_EQ(preflight("http://localhost").status, 405) << "this machine's own pages need none";
}

TEST(Exposure, ListeningElsewhereWithoutKeysMustBeSaidTwice) {
  for (const char* host : {"0.0.0.0", "::", "::ffff:0.0.0.0"}) {
    ServeOptions options;
    options.host = host;
    try {
      Server::check(options);
      ADD_FAILURE() << host;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::bad_input);
      EXPECT_NE(std::string(error.what()).find("--insecure-no-keys"), std::string::npos);
      EXPECT_NE(std::string(error.what()).find("--api-keys"), std::string::npos);
    }
    EXPECT_THROW(TestServer server(options), Error) << "the server itself refuses, too";
    options.insecure_no_keys = true;
    Server::check(options);
  }
  for (const char* host : {"127.0.0.1", "127.8.8.8", "localhost", "::1", "::ffff:127.0.0.1"}) {
    ServeOptions options;
    options.host = host;
    Server::check(options);
  }
}

TEST(Exposure, EverywhereIsReachedByAnyNameUnlessNamesAreGiven) {
  ServeOptions options;
  options.host = "0.0.0.0";
  options.insecure_no_keys = true;
  const auto status = [](const TestServer& server, const std::string& host) {
    Client client(server.port());
    client.send("GET /health HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    return client.response().status;
  };
  {
    TestServer server(options);
    EXPECT_EQ(status(server, "tern.example"), 200);
  }
  options.allowed_hosts = {"tern.example"};
  TestServer server(options);
  EXPECT_EQ(status(server, "tern.example"), 200);
  EXPECT_EQ(status(server, "evil.example"), 403);
}

}  // namespace
}  // namespace tern::serve_test
