// The page's files over HTTP: exactly those, with what keeps them current and harmless.
#include "serve/page.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "tests/serve/fixture.h"

namespace tern::serve_test {
namespace {

namespace fs = std::filesystem;

std::string on_disk(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

Response get(Client& client, const std::string& path, const std::string& headers = "") {
  client.send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n");
  return client.response();
}

TEST(Page, HasEveryFileOfItsFolder) {
  std::set<std::string> expected, there;
  for (const auto& entry : fs::directory_iterator(TERN_SOURCE_DIR "/web")) {
    const std::string name = entry.path().filename();
    expected.insert(name == "index.html" ? "/" : "/web/" + name);
  }
  for (const PageFile& file : page_files()) {
    there.insert(file.path);
    const std::string name = file.path == "/" ? "web/index.html" : file.path.substr(1);
    EXPECT_TRUE(file.plain == on_disk(fs::path(TERN_SOURCE_DIR) / name)) << name;
    EXPECT_TRUE(file.gzipped.starts_with("\x1f\x8b")) << name;
  }
  EXPECT_EQ(there, expected);
}

TEST(Page, NamesAllItsFilesAtOnce) {
  // So that none waits for another to be read first.
  for (const PageFile& file : page_files()) {
    if (file.path == "/") continue;
    EXPECT_NE(page_files().front().plain.find(file.path.substr(1) + '"'), std::string_view::npos)
        << file.path;
  }
}

TEST(Page, OpensAtTheRoot) {
  TestServer server;
  Client client(server.port());
  const Response page = get(client, "/?a=b");
  EXPECT_EQ(page.status, 200);
  EXPECT_EQ(page.header("Content-Type"), "text/html; charset=utf-8");
  EXPECT_EQ(page.header("Content-Encoding"), "");
  EXPECT_TRUE(page.body.starts_with("<!doctype html>"));
  client.send("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  const Response head = client.response(true);
  EXPECT_EQ(head.header("Content-Length"), std::to_string(page.body.size()));
  client.post("/", "");
  EXPECT_EQ(client.response().header("Allow"), "GET, HEAD");
}

TEST(Page, OtherPathsAreNotThere) {
  TestServer server;
  Client client(server.port());
  for (const char* path : {"/index.html", "/web/index.html", "/web/", "/web", "/style.css", "//",
                           "/web//style.css", "/web/../style.css", "/web/style.css/", "/web/style.cs",
                           "/web/STYLE.CSS", "/web/%73tyle.css", "/web/style.css.gz", "/other"}) {
    EXPECT_EQ(get(client, path).status, 404) << path;
  }
  EXPECT_EQ(get(client, "/web/style.css").status, 200);
}

TEST(Page, MayLoadNothingFromOutside) {
  TestServer server;
  Client client(server.port());
  for (const PageFile& file : page_files()) {
    const Response response = get(client, file.path);
    const std::string policy = response.header("Content-Security-Policy");
    EXPECT_TRUE(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self'; ")) << policy;
    EXPECT_EQ(policy.find("unsafe"), std::string::npos);
    EXPECT_NE(policy.find("frame-ancestors 'none'"), std::string::npos);
    EXPECT_NE(policy.find("require-trusted-types-for 'script'"), std::string::npos);
    EXPECT_EQ(response.header("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(response.header("Referrer-Policy"), "no-referrer");
  }
}

TEST(Page, IsSentGzippedAndOnlyWhereItChanged) {
  TestServer server;
  Client client(server.port());
  const Response plain = get(client, "/web/style.css");
  const Response gzipped = get(client, "/web/style.css", "Accept-Encoding: gzip, deflate, br\r\n");
  EXPECT_EQ(gzipped.header("Content-Encoding"), "gzip");
  EXPECT_EQ(gzipped.header("Vary"), "Accept-Encoding");
  EXPECT_LT(gzipped.body.size() * 2, plain.body.size());
  EXPECT_NE(gzipped.header("ETag"), plain.header("ETag"));
  client.send("GET /web/style.css HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: \"x\", W/" +
              plain.header("ETag") + "\r\n\r\n");
  const Response unchanged = client.response(true);
  EXPECT_EQ(unchanged.status, 304);
  EXPECT_EQ(unchanged.header("ETag"), plain.header("ETag"));
  EXPECT_EQ(unchanged.header("Content-Length"), "");
  EXPECT_EQ(get(client, "/web/style.css", "If-None-Match: " + gzipped.header("ETag") + "\r\n").body,
            plain.body)
      << "that is another representation, and the connection goes on after 304";
}

TEST(Page, AcceptEncoding) {
  for (const char* yes : {"gzip", "GZip", "br, gzip", "deflate,gzip;q=0.5", "gzip ; q=1", "br;q=0, gzip"})
    EXPECT_TRUE(takes_gzip(yes)) << yes;
  for (const char* no :
       {"", "br", "gzip;q=0", "gzip;q=0.000, br", "xgzip", "gzi", ",", ";", "identity;q=1, *;q=0"})
    EXPECT_FALSE(takes_gzip(no)) << no;
}

}  // namespace
}  // namespace tern::serve_test
