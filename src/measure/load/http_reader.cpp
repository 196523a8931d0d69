#include "measure/load/http_reader.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/error.h"

namespace tern::load {
namespace {

constexpr size_t kHeadLimit = 64 << 10;
constexpr size_t kChunkHeadLimit = 1 << 10;
constexpr int kInterimLimit = 16;

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

/// Whether a header's comma separated list has the word.
bool lists(std::string_view value, std::string_view word) {
  for (;;) {
    const size_t comma = value.find(',');
    if (same(trimmed(value.substr(0, comma)), word)) return true;
    if (comma == std::string_view::npos) return false;
    value.remove_prefix(comma + 1);
  }
}

std::optional<uint64_t> whole_number(std::string_view text, int base) {
  uint64_t number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc{} || at != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

}  // namespace

size_t HttpReader::feed(std::string_view bytes, const Body& body) {
  const size_t all = bytes.size();
  while (!bytes.empty() && at_ != At::done) {
    size_t used = 0;
    switch (at_) {
      case At::head:
        used = take_line(bytes, kHeadLimit, "head");
        if (line_done_) read_head();
        break;
      case At::until_end:
        used = bytes.size();
        body(bytes);
        break;
      case At::counted:
      case At::chunk:
        used = static_cast<size_t>(std::min<uint64_t>(left_, bytes.size()));
        left_ -= used;
        if (left_ == 0) at_ = at_ == At::counted ? At::done : At::chunk_end;
        body(bytes.substr(0, used));
        break;
      case At::chunk_head:
        used = take_line(bytes, kChunkHeadLimit, "chunk's head");
        if (line_done_) read_chunk_head();
        break;
      case At::chunk_end:
        used = take_line(bytes, 2, "chunk's end");
        if (line_done_) at_ = At::chunk_head;
        if (line_done_ && !line_.empty()) fail(ErrorKind::bad_input, "a chunk is longer than it says");
        break;
      case At::trailer:
        used = take_line(bytes, kHeadLimit, "trailer");
        if (line_done_ && line_.empty()) at_ = At::done;
        break;
      case At::done:
        break;
    }
    bytes.remove_prefix(used);
  }
  return all - bytes.size();
}

void HttpReader::end() {
  if (at_ == At::until_end) at_ = At::done;
  if (at_ == At::done) return;
  fail(ErrorKind::bad_input, "the connection ended inside of a response's {}",
       at_ == At::head ? "head" : "body");
}

/// A line of the head or of chunks, without its end, which is CR LF or LF. Whether it is whole: line_done_.
size_t HttpReader::take_line(std::string_view bytes, size_t limit, const char* what) {
  if (line_done_) line_.clear();
  const size_t end = bytes.find('\n');
  const size_t used = end == std::string_view::npos ? bytes.size() : end + 1;
  lines_bytes_ += used;
  if (lines_bytes_ > limit) fail(ErrorKind::limit, "a response's {} is longer than {} bytes", what, limit);
  line_.append(bytes.substr(0, std::min(used, end)));
  line_done_ = end != std::string_view::npos;
  if (!line_done_) return used;
  if (line_.ends_with('\r')) line_.pop_back();
  const bool in_block = at_ == At::head || at_ == At::trailer;  // limited as a whole
  if (!in_block || line_.empty()) lines_bytes_ = 0;
  return used;
}

void HttpReader::read_head() {
  if (!status_seen_) {
    // "HTTP/1.1 200 OK"
    const bool http = line_.starts_with("HTTP/1.") && line_.size() >= 12 && line_[8] == ' ' &&
                      (line_.size() == 12 || line_[12] == ' ');
    const auto status = http ? whole_number(std::string_view(line_).substr(9, 3), 10) : std::nullopt;
    if (!status || *status < 100) fail(ErrorKind::bad_input, "this is no response of an HTTP/1.1 server");
    head_.status = static_cast<int>(*status);
    head_.keep_alive = line_[7] != '0';
    status_seen_ = true;
    return;
  }
  if (line_.empty()) return begin_body();
  const size_t colon = line_.find(':');
  if (colon == std::string::npos || colon == 0)
    fail(ErrorKind::bad_input, "a response's header without a name");
  read_field(std::string_view(line_).substr(0, colon), trimmed(std::string_view(line_).substr(colon + 1)));
}

void HttpReader::read_field(std::string_view name, std::string_view value) {
  if (same(name, "content-length")) {
    const auto length = whole_number(value, 10);
    if (!length || (length_ && *length_ != *length))
      fail(ErrorKind::bad_input, "a response's Content-Length");
    length_ = length;
  } else if (same(name, "transfer-encoding")) {
    chunked_ = lists(value, "chunked");
    if (!chunked_) fail(ErrorKind::unsupported, "a response's Transfer-Encoding other than chunked");
  } else if (same(name, "connection")) {
    if (lists(value, "close")) head_.keep_alive = false;
    if (lists(value, "keep-alive")) head_.keep_alive = true;
  } else if (same(name, "content-type")) {
    head_.event_stream = same(trimmed(value.substr(0, value.find(';'))), "text/event-stream");
  } else if (same(name, "retry-after-ms")) {
    if (const auto ms = whole_number(value, 10)) head_.retry_after_s = static_cast<double>(*ms) / 1e3;
  } else if (same(name, "retry-after") && !head_.retry_after_s) {
    if (const auto s = whole_number(value, 10)) head_.retry_after_s = static_cast<double>(*s);
  }
}

void HttpReader::begin_body() {
  if (head_.status < 200) {
    if (++interim_ > kInterimLimit) fail(ErrorKind::limit, "more than {} interim responses", kInterimLimit);
    const int interim = interim_;
    *this = {};
    interim_ = interim;
    return;
  }
  const bool no_body = head_.status == 204 || head_.status == 304;
  if (no_body) {
    at_ = At::done;
  } else if (chunked_) {
    at_ = At::chunk_head;
  } else if (length_) {
    left_ = *length_;
    at_ = left_ == 0 ? At::done : At::counted;
  } else {
    head_.keep_alive = false;
    at_ = At::until_end;
  }
}

void HttpReader::read_chunk_head() {
  const auto size = whole_number(trimmed(std::string_view(line_).substr(0, line_.find(';'))), 16);
  if (!size) fail(ErrorKind::bad_input, "a chunk's size: expected hexadecimal digits");
  left_ = *size;
  at_ = left_ == 0 ? At::trailer : At::chunk;
}

}  // namespace tern::load
