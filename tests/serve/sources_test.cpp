// Hosts and origins: who may call the server by which name.
#include "serve/sources.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "serve/api_error.h"

namespace tern {
namespace {

int status(const Sources& sources, std::string_view host, std::string_view origin = "") {
  try {
    sources.check(host, origin);
    return 200;
  } catch (const ApiError& error) {
    return error.status();
  }
}

TEST(Sources, HostNames) {
  const auto name = [](std::string_view host) { return host_name(host).value_or("none"); };
  EXPECT_EQ(name("Example.COM:80"), "example.com");
  EXPECT_EQ(name("example.com."), "example.com");
  EXPECT_EQ(name("example.com.:8080"), "example.com");
  EXPECT_EQ(name("[2001:DB8::0:1]:80"), "[2001:db8::1]");
  EXPECT_EQ(name("[::ffff:127.0.0.1]"), "127.0.0.1");
  EXPECT_EQ(name("127.0.0.1:"), "127.0.0.1") << "RFC 3986 lets a port be empty";
  for (const char* host :
       {"",   ":80",    "a b",  "a/b", "user@host", "[::1", "::1", "[::1]x", "a:b", "a:123456", "a:80:80",
        "[]", "[1.2.3", "a\tb", "a,b", "\xc3\xa9",  "a?b",  "a#b", "a..",    ".a",  ".",        "a..b"}) {
    EXPECT_EQ(name(host), "none") << host;
  }
}

TEST(Sources, OnLoopbackHostIsThisMachine) {
  const Sources sources(true, "127.0.0.1", {}, {});
  for (const char* host :
       {"localhost", "LOCALHOST:99", "localhost.", "127.0.0.1:8080", "127.0.0.2", "[::1]:8080", "[0:0::1]",
        "[::ffff:127.0.0.1]:80", "[::ffff:7f00:1]", "127.0.0.1.", ""}) {
    EXPECT_EQ(status(sources, host), 200) << host;
  }
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80",
                           "0.0.0.0:8080", "[::]", "10.0.0.1", "notlocalhost"}) {
    EXPECT_EQ(status(sources, host), 403) << host;
  }
  EXPECT_EQ(status(sources, "local host"), 400);
}

TEST(Sources, AnAllowedHostIsExact) {
  const Sources sources(true, "127.0.0.1", {"api.example.com", "10.0.0.7"}, {});
  EXPECT_EQ(status(sources, "API.example.com.:443"), 200);
  EXPECT_EQ(status(sources, "10.0.0.7:80"), 200);
  EXPECT_EQ(status(sources, "localhost"), 200);
  EXPECT_EQ(status(sources, "example.com"), 403);
  EXPECT_EQ(status(sources, "x.api.example.com"), 403);
  EXPECT_EQ(status(sources, "10.0.0.8"), 403);
}

TEST(Sources, ElsewhereHostIsCheckedWhereNamesAreGiven) {
  const Sources open(false, "0.0.0.0", {}, {});
  EXPECT_EQ(status(open, "anything.example"), 200);
  EXPECT_EQ(status(open, "any thing"), 400);
  const Sources named(false, "0.0.0.0", {"api.example.com"}, {});
  EXPECT_EQ(status(named, "api.example.com:8080"), 200);
  EXPECT_EQ(status(named, "127.0.0.1:8080"), 200);
  EXPECT_EQ(status(named, "evil.example"), 403);
  EXPECT_EQ(status(named, "0.0.0.0"), 403);
}

TEST(Sources, PagesOfOthersAreRefusedEverywhere) {
  const Sources local(true, "localhost", {}, {});
  EXPECT_EQ(status(local, "localhost", "http://localhost:3000"), 200);
  EXPECT_EQ(status(local, "localhost", "http://[::1]:3000"), 200);
  EXPECT_EQ(status(local, "localhost", "https://evil.example"), 403);
  EXPECT_EQ(status(local, "localhost", "http://localhost.evil.example"), 403);
  EXPECT_EQ(status(local, "localhost", "null"), 403);
  EXPECT_EQ(status(local, "localhost", "localhost"), 403);
  EXPECT_EQ(status(local, "localhost", "http://localhost@evil.example"), 403);
  const Sources away(false, "0.0.0.0", {}, {});
  EXPECT_EQ(status(away, "tern.example:80", "http://TERN.example:80"), 200) << "its own page";
  EXPECT_EQ(status(away, "tern.example", "https://tern.example"), 200) << "and behind a proxy that ends TLS";
  EXPECT_EQ(status(away, "tern.example", "http://evil.example"), 403);
  EXPECT_EQ(status(away, "tern.example", "http://localhost"), 403);
  EXPECT_EQ(status(away, "", "http://evil.example"), 403);
  EXPECT_EQ(status(away, "tern.example", "null"), 403);
}

TEST(Sources, AnAllowedOriginIsExactAndGetsItsHeaders) {
  const Sources sources(true, "localhost", {}, {"https://Shop.example", "http://localhost:3000"});
  EXPECT_EQ(status(sources, "localhost", "https://shop.example"), 200);
  EXPECT_EQ(status(sources, "localhost", "http://shop.example"), 403);
  EXPECT_EQ(status(sources, "localhost", "https://shop.example:8443"), 403);
  EXPECT_EQ(status(sources, "localhost", "https://shop.example.evil.example"), 403);
  EXPECT_NE(
      sources.cors("https://shop.example").find("Access-Control-Allow-Origin: https://shop.example\r\n"),
      std::string::npos);
  for (const char* origin : {"", "null", "https://evil.example", "http://localhost:4000"})
    EXPECT_EQ(sources.cors(origin), "Vary: Origin\r\n") << origin;
  EXPECT_EQ(Sources(true, "localhost", {}, {}).cors("https://shop.example"), "");
}

TEST(Sources, NoWildcardsNoNullNoPaths) {
  for (const char* origin :
       {"*", "null", "", "https://", "shop.example", "https://shop.example/", "https://*.example",
        "https://shop.example/x", "://a", "ht tp://a", "https://a b", "https://user@a"}) {
    EXPECT_THROW(parse_allowed_origin(origin), Error) << origin;
  }
  for (const char* host : {"*", "", "https://a", "a:80", "a/b", "*.example.com", "[::1]:80", "a b"})
    EXPECT_THROW(parse_allowed_host(host), Error) << host;
  EXPECT_EQ(parse_allowed_host("::1"), "[::1]");
  EXPECT_EQ(parse_allowed_host("[2001:DB8::1]"), "[2001:db8::1]");
  EXPECT_EQ(parse_allowed_host("API.Example."), "api.example");
  EXPECT_EQ(parse_allowed_origin("HTTPS://Shop.Example:8443"), "https://shop.example:8443");
}

}  // namespace
}  // namespace tern
