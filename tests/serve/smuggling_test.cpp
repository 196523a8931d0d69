// Heads and bodies that a proxy in front may read another way than the server: one answer, then the
// connection ends, and what hides behind is never read as a request.
#include "tests/serve/fixture.h"

namespace tern::serve_test {
namespace {

constexpr const char* kHidden = "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";
const std::string kPost = "POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n";

/// All that the server says to these bytes until it closes.
std::string everything(const TestServer& server, const std::string& bytes) {
  Client client(server.port());
  client.send(bytes);
  std::string all;
  try {
    while (true) {
      const Response response = client.response();
      all += response.head + response.body;
    }
  } catch (const std::runtime_error&) {
  }
  return all;
}

size_t count(const std::string& text, const std::string& what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

void expect_refused(const TestServer& server, const std::string& bytes, const std::string& status = "400") {
  const std::string said = everything(server, bytes + kHidden);
  EXPECT_TRUE(said.starts_with("HTTP/1.1 " + status)) << bytes << "\n-> " << said;
  EXPECT_EQ(count(said, "HTTP/1.1 "), 1u) << bytes << "\n-> " << said;
  EXPECT_EQ(said.find("max_model_len"), std::string::npos) << "the hidden request was answered: " << bytes;
}

TEST(Smuggling, WhereABodyEndsMustBeCertain) {
  TestServer server;
  for (const std::string& fields :
       std::vector<std::string>{"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                                "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
                                "Content-Length: 5\r\nContent-Length: 5\r\n",
                                "Content-Length: 5\r\nContent-Length: 6\r\n",
                                "Content-Length: 5, 5\r\n",
                                "Content-Length: +5\r\n",
                                "Content-Length: -5\r\n",
                                "Content-Length: 0x5\r\n",
                                "Content-Length: 5 5\r\n",
                                "Content-Length: 5;\r\n",
                                "Content-Length:\r\n",
                                "Content-Length: five\r\n",
                                "Content-Length: 99999999999999999999999\r\n",
                                "Content-Length : 5\r\n",
                                "Transfer-Encoding: identity\r\n",
                                "Transfer-Encoding: gzip\r\n",
                                "Transfer-Encoding: chunked, gzip\r\n",
                                "Transfer-Encoding: gzip, chunked\r\n",
                                "Transfer-Encoding: chunked, chunked\r\n",
                                "Transfer-Encoding: xchunked\r\n",
                                "Transfer-Encoding: chunked;q=1\r\n",
                                "Transfer-Encoding: \"chunked\"\r\n",
                                "Transfer-Encoding:\r\n",
                                "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
                                "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
                                "Transfer-Encoding : chunked\r\n",
                                "Transfer-Encoding: chunked\x0b\r\n"}) {
    expect_refused(server, kPost + fields + "\r\n");
  }
  expect_refused(server, "POST /v1/completions HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
}

TEST(Smuggling, LinesEndAsTheyMust) {
  TestServer server;
  const std::string get = "GET /health HTTP/1.1\r\nHost: localhost\r\n";
  for (const std::string& bytes :
       std::vector<std::string>{"GET /health HTTP/1.1\nHost: localhost\n\n",
                                get + "X: a\nY: b\r\n\r\n",
                                get + "X: a\rY: b\r\n\r\n",
                                get + "X: a\r\n b\r\n\r\n",
                                get + "X: a\r\n\tb\r\n\r\n",
                                "GET /health HTTP/1.1\r\n Host: localhost\r\n\r\n",
                                get + std::string("X: a\0b\r\n\r\n", 10),
                                get + "X: a\x01\r\n\r\n",
                                get + "X\x7f: a\r\n\r\n",
                                get + "\x0b: a\r\n\r\n",
                                get + ": a\r\n\r\n",
                                get + "X a\r\n\r\n",
                                get + "X\r\n\r\n",
                                "\r\n" + get + "\r\n",
                                "GET /health\r\n\r\n",
                                "GET  /health HTTP/1.1\r\nHost: a\r\n\r\n",
                                "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
                                "GET /health HTTP/1.1 \r\nHost: a\r\n\r\n",
                                "GET /health HTTP/2.0\r\nHost: a\r\n\r\n",
                                "GET /health http/1.1\r\nHost: a\r\n\r\n",
                                "get /health HTTP/1.1\r\nHost: a\r\n\r\n",
                                "GET http://localhost/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                "GET health HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
                                "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
                                "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    expect_refused(server, bytes);
  }
  std::string many = get;
  for (int i = 0; i < 200; ++i) many += "X: y\r\n";
  expect_refused(server, many + "\r\n", "431");
}

TEST(Smuggling, ChunksAreExact) {
  TestServer server;
  const std::string head = kPost + "Transfer-Encoding: chunked\r\n\r\n";
  for (const std::string& body : std::vector<std::string>{
           "0x5\r\nhello\r\n0\r\n\r\n", "+5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n",
           " 5\r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhelloX\r\n0\r\n\r\n",
           "5\r\nhello\n0\r\n\r\n", "5\r\nhel\r\n0\r\n\r\n", "\r\n5\r\nhello\r\n0\r\n\r\n", "g\r\n",
           "5_\r\nhello\r\n0\r\n\r\n", "5;\x01=b\r\nhello\r\n0\r\n\r\n"}) {
    expect_refused(server, head + body);
  }
  for (const char* size :
       {"ffffffffffffffff", "10000000000000000", "00000000000000000000ffffffff", "7fffffffffffffff"}) {
    const std::string said = everything(server, head + size + "\r\nhello");
    EXPECT_TRUE(said.starts_with("HTTP/1.1 413") || said.starts_with("HTTP/1.1 400")) << size << said;
  }
}

TEST(Smuggling, TrailersAreNoHeaders) {
  ServeOptions options;
  options.trusted_proxies = {"127.0.0.1"};
  options.rate_limit.requests = 1;
  TestServer server(options);
  Client client(server.port());
  const std::string body = R"({"prompt": "a", "max_tokens": 1})";
  const auto send = [&](const std::string& address) {
    client.send(kPost +
                fmt::format("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\nX-Forwarded-For: {}\r\n"
                            "Host: evil.example\r\nAuthorization: Bearer x\r\n\r\n",
                            body.size(), body, address));
    return client.response().status;
  };
  EXPECT_EQ(send("1.1.1.1"), 200);
  EXPECT_EQ(send("2.2.2.2"), 429) << "a trailer has made another client of it";
}

TEST(Smuggling, ABodyOfChunkHeadsEnds) {
  ServeOptions options;
  options.body_limit = 10'000;
  options.header_limit = 2'000;
  TestServer server(options);
  Client client(server.port());
  client.send(kPost + "Transfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "1;" + std::string(1000, 'x') + "\r\na\r\n";
  for (int i = 0; i < 200; ++i) client.send(chunk);  // 200 bytes of a body that may have 10,000
  EXPECT_EQ(client.response().status, 413);
}

TEST(Smuggling, HonestRequestsStillPass) {
  TestServer server;
  Client client(server.port());
  const std::string body = R"({"prompt": "a", "max_tokens": 1})";
  for (const std::string& bytes : std::vector<std::string>{
           kPost + fmt::format("Content-Length: {}\r\n\r\n{}", body.size(), body),
           kPost + fmt::format("content-length:{}  \r\n\r\n{}", body.size(), body),
           kPost + fmt::format("Content-Length: 000{}\r\n\r\n{}", body.size(), body),
           kPost +
               fmt::format("TRANSFER-ENCODING: Chunked\r\n\r\n{:X}\r\n{}\r\n0\r\n\r\n", body.size(), body),
           kPost +
               fmt::format("Transfer-Encoding: chunked\r\n\r\n00{:x};a=\"b;c\";d\r\n{}\r\n00\r\nA: b\r\n\r\n",
                           body.size(), body),
           kPost +
               fmt::format("X:\r\nY: \t a\xc3\xa9\t \r\nContent-Length: {}\r\n\r\n{}", body.size(), body)}) {
    client.send(bytes);
    EXPECT_EQ(client.response().status, 200) << bytes;
  }
}

}  // namespace
}  // namespace tern::serve_test
