// The readers of what an untrusted server sends: whole, at every cut, byte by byte, and lying.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.h"
#include "measure/load/http_reader.h"
#include "measure/load/sse_reader.h"
#include "measure/load/stream_event.h"

namespace tern::load {
namespace {

struct Read {
  std::string body;
  bool head = false, done = false;
  size_t used = 0;
};

/// `pieces` fed one after another.
Read read(const std::vector<std::string_view>& pieces, HttpReader& reader) {
  Read read;
  for (const std::string_view piece : pieces)
    read.used += reader.feed(piece, [&](std::string_view bytes) { read.body += bytes; });
  read.head = reader.head_done();
  read.done = reader.done();
  return read;
}

std::vector<std::string_view> single_bytes(std::string_view text) {
  std::vector<std::string_view> bytes;
  for (size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
  return bytes;
}

void check_at_every_cut(std::string_view response, const std::string& body) {
  for (size_t cut = 0; cut <= response.size(); ++cut) {
    HttpReader reader;
    const Read found = read({response.substr(0, cut), response.substr(cut)}, reader);
    EXPECT_EQ(found.body, body) << cut;
    EXPECT_TRUE(found.done) << cut;
    EXPECT_EQ(found.used, response.size()) << cut;
  }
  HttpReader reader;
  const Read found = read(single_bytes(response), reader);
  EXPECT_EQ(found.body, body);
  EXPECT_TRUE(found.done);
}

TEST(HttpReader, TakesChunksAtEveryCut) {
  check_at_every_cut(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: "
      "chunked\r\n\r\n"
      "5\r\nhello\r\n1a;name=value\r\n, this is a second chunk!!\r\n0\r\nX-Trailer: yes\r\n\r\n",
      "hello, this is a second chunk!!");
}

TEST(HttpReader, TakesACountedBodyAtEveryCut) {
  check_at_every_cut(
      "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 11\r\nRetry-After: 3\r\n\r\nlater\r\n\r\nok",
      "later\r\n\r\nok");
}

TEST(HttpReader, PassesInterimResponses) {
  check_at_every_cut("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok");
}

TEST(HttpReader, TakesLinesThatEndWithLineFeedsAlone) {
  check_at_every_cut("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n", "ok");
}

TEST(HttpReader, StopsAtTheResponsesEnd) {
  HttpReader reader;
  const std::string first = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
  const Read found = read({first + "HTTP/1.1 200 OK\r\n"}, reader);
  EXPECT_TRUE(found.done);
  EXPECT_EQ(found.used, first.size());
}

TEST(HttpReader, TakesABodyUpToTheConnectionsEnd) {
  HttpReader reader;
  Read found = read({"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nall ", "of it"}, reader);
  EXPECT_FALSE(found.done);
  reader.end();
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(found.body, "all of it");
  EXPECT_FALSE(reader.head().keep_alive);
}

TEST(HttpReader, ReadsWhatTheHeadSays) {
  HttpReader reader;
  read({"HTTP/1.1 503 Busy\r\nRETRY-AFTER: 2\r\nretry-after-ms: 1500\r\nConnection: a, Close\r\n"
        "Content-Length: 0\r\n\r\n"},
       reader);
  EXPECT_TRUE(reader.done());
  EXPECT_EQ(reader.head().status, 503);
  EXPECT_EQ(reader.head().retry_after_s, 1.5);
  EXPECT_FALSE(reader.head().keep_alive);
  EXPECT_FALSE(reader.head().event_stream);
  reader.reset();
  read({"HTTP/1.1 200 OK\r\nRetry-After: soon\r\nContent-Type: Text/Event-Stream\r\nContent-Length: "
        "0\r\n\r\n"},
       reader);
  EXPECT_FALSE(reader.head().retry_after_s);
  EXPECT_TRUE(reader.head().keep_alive);
  EXPECT_TRUE(reader.head().event_stream);
}

TEST(HttpReader, RefusesWhatIsNoResponse) {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& bytes : std::vector<std::string>{
           "SSH-2.0-OpenSSH\r\n", "HTTP/2 200 OK\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 abc OK\r\n",
           "HTTP/1.1 099 OK\r\n", "\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n",
           "HTTP/1.1 200 OK\r\n: value\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n", chunked + "x\r\n", chunked + "-5\r\n",
           chunked + "\r\n", chunked + "fffffffffffffffff\r\n", chunked + "2\r\nabc\r\n",
           chunked + "2\r\nabcdef\r\n"}) {
    HttpReader reader;
    EXPECT_THROW(read({bytes}, reader), Error) << bytes;
    HttpReader slow;
    EXPECT_THROW(read(single_bytes(bytes), slow), Error) << bytes;
  }
}

TEST(HttpReader, AHugeChunkTakesNoMemory) {
  HttpReader reader;
  const Read found =
      read({"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc"}, reader);
  EXPECT_EQ(found.body, "abc");
  EXPECT_THROW(reader.end(), Error);
}

TEST(HttpReader, EverythingWithoutAnEndIsLimited) {
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  struct Endless {
    std::string begin, again;
  };
  for (const Endless& endless :
       std::vector<Endless>{{"HTTP/1.1 200 ", "x"},                 // a status line
                            {"HTTP/1.1 200 OK\r\nX: ", "x"},        // a header
                            {"HTTP/1.1 200 OK\r\n", "X: y\r\n"},    // headers
                            {"", "HTTP/1.1 100 Continue\r\n\r\n"},  // interim responses
                            {chunked, "0"},                         // a chunk's size
                            {chunked + "1;", "x"},                  // a chunk's extension
                            {chunked + "0\r\n", "X: y\r\n"},        // a trailer
                            {chunked + "0\r\nX: ", "x"},
                            {chunked + "1\r\na", "\r"}}) {
    HttpReader reader;
    EXPECT_THROW(
        {
          read({endless.begin}, reader);
          for (size_t sent = 0; sent < (1 << 20); sent += endless.again.size()) read({endless.again}, reader);
        },
        Error)
        << endless.begin << endless.again;
  }
}

TEST(HttpReader, ManyChunksAreNoHead) {
  HttpReader reader;
  read({"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"}, reader);
  size_t bytes = 0;
  for (int i = 0; i < 100'000; ++i) bytes += read({"2\r\nab\r\n"}, reader).body.size();
  EXPECT_EQ(bytes, 200'000u);
}

TEST(HttpReader, AnEndInsideOfAResponseIsToldSo) {
  for (const char* begin : {"", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
                            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"}) {
    HttpReader reader;
    read({begin}, reader);
    EXPECT_THROW(reader.end(), Error) << begin;
  }
}

// ---- Server-sent events

std::vector<std::string> events(const std::vector<std::string_view>& pieces) {
  SseReader reader;
  std::vector<std::string> all;
  for (const std::string_view piece : pieces)
    reader.feed(piece, [&](std::string_view data) { all.emplace_back(data); });
  return all;
}

TEST(SseReader, ReadsEventsAtEveryCut) {
  const std::string_view stream =
      "data: {\"a\":1}\n\n: a comment\ndata:b\r\n\r\nevent: x\rdata: two\rdata: lines\r\rid: 1\n\ndata\n\n"
      "database: no\n\ndata:  [DONE]\n\ndata: unfinished";
  const std::vector<std::string> right = {"{\"a\":1}", "b", "two\nlines", "", " [DONE]"};
  for (size_t cut = 0; cut <= stream.size(); ++cut)
    EXPECT_EQ(events({stream.substr(0, cut), stream.substr(cut)}), right) << cut;
  EXPECT_EQ(events(single_bytes(stream)), right);
}

TEST(SseReader, LinesAndEventsAreLimited) {
  const std::string piece(1 << 16, 'x');
  const auto endless = [](const std::string& begin, const std::string& again) {
    SseReader reader;
    reader.feed(begin, [](std::string_view) {});
    for (size_t sent = 0; sent < (4 << 20); sent += again.size()) reader.feed(again, [](std::string_view) {});
  };
  EXPECT_THROW(endless("data: ", piece), Error);
  EXPECT_THROW(endless("", piece), Error);
  EXPECT_THROW(endless("", "data: " + piece + "\n"), Error);
  EXPECT_NO_THROW(endless("", ": " + piece + "\n"));
}

// ---- What events say

TEST(StreamEvent, TellsThinkingFromTheAnswer) {
  const auto delta = [](const std::string& inside) {
    return read_event(R"({"id":"x","choices":[{"index":0,"delta":{)" + inside +
                      R"(},"finish_reason":null}]})");
  };
  EXPECT_TRUE(delta(R"("content":"a")").answer);
  EXPECT_FALSE(delta(R"("content":"a")").thinking);
  EXPECT_TRUE(delta(R"("reasoning_content":"a")").thinking);
  EXPECT_TRUE(delta(R"("reasoning":"a","content":null)").thinking);
  EXPECT_FALSE(delta(R"("role":"assistant","content":"")").answer);
  EXPECT_FALSE(delta(R"("tool_calls":[{"content":"a","text":"b"}])").answer);
  EXPECT_FALSE(delta(R"("other":{"content":"\"content\":\"a\""})").answer);
  EXPECT_TRUE(read_event(R"({"choices":[{"text":"a","finish_reason":null}]})").answer);
  EXPECT_TRUE(read_event(R"({"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]})").answer);
}

TEST(StreamEvent, ReadsTheEnd) {
  const StreamEvent end = read_event(
      R"({"choices":[{"delta":{},"finish_reason":"stop","tern":{"promised":true,"on_time":true,"actual_ms":5.5}}],)"
      R"("usage":{"prompt_tokens":7,"completion_tokens":9,"completion_tokens_details":{"reasoning_tokens":4}}})");
  EXPECT_EQ(end.finish, "stop");
  ASSERT_TRUE(end.usage && end.tern);
  EXPECT_EQ(end.usage->prompt, 7u);
  EXPECT_EQ(end.usage->completion, 9u);
  EXPECT_EQ(end.usage->reasoning, 4u);
  EXPECT_TRUE(end.tern->promised && end.tern->on_time);
  EXPECT_FALSE(read_event(R"({"choices":[],"usage":null})").usage);
  EXPECT_EQ(read_event(R"({"choices":[{"finish_reason":"stop"},{"finish_reason":"length"}]})").finish,
            "length");
  EXPECT_EQ(read_event(R"({"choices":[{"finish_reason":"length"},{"finish_reason":"stop"}]})").finish,
            "length");
}

TEST(StreamEvent, ReadsErrors) {
  EXPECT_EQ(read_event(R"({"error":{"message":"no","code":5}})").error, "no");
  EXPECT_EQ(read_event(R"({"error":"no"})").error, "no");
  EXPECT_EQ(read_event(R"({"error":{}})").error, "");
  EXPECT_FALSE(read_event(R"({"error":null,"message":"no"})").error);
  EXPECT_EQ(read_event(R"({"error":{"message":")" + std::string(5000, 'x') + "\"}}").error->size(), 200u);
}

TEST(StreamEvent, RefusesWhatIsNoObject) {
  for (const std::string& text : std::vector<std::string>{
           "", "{", "[]", "5", "-5", "1.5", "null", "true", "\"text\"", "{} x", "{\"choices\":", "\xff",
           std::string(100, '['), "{\"a\":" + std::string(100, '[')}) {
    EXPECT_THROW(read_event(text), Error) << text;
  }
}

}  // namespace
}  // namespace tern::load
