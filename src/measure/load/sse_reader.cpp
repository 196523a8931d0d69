#include "measure/load/sse_reader.h"

#include "base/error.h"

namespace tern::load {
namespace {

constexpr size_t kLimit = 1 << 20;

/// Where a line ends; find_first_of would search for each byte in turn.
size_t line_end(std::string_view bytes) {
  const size_t feed = bytes.find('\n');
  const size_t back = bytes.substr(0, feed).find('\r');
  return back == std::string_view::npos ? feed : back;
}

}  // namespace

void SseReader::feed(std::string_view bytes, const Event& event) {
  while (!bytes.empty()) {
    if (after_cr_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_cr_ = false;
    const size_t end = line_end(bytes);
    const std::string_view piece = bytes.substr(0, end);
    if (partial_.size() + piece.size() > kLimit)
      fail(ErrorKind::limit, "a line of events is longer than {} bytes", kLimit);
    if (end == std::string_view::npos) {
      partial_ += piece;
      return;
    }
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    if (partial_.empty()) {
      line(piece, event);
    } else {
      partial_ += piece;
      line(partial_, event);
      partial_.clear();
    }
  }
}

void SseReader::line(std::string_view line, const Event& event) {
  if (line.empty()) {
    if (has_data_) event(data_);
    data_.clear();
    has_data_ = false;
    return;
  }
  if (!line.starts_with("data")) return;
  line.remove_prefix(4);
  if (!line.empty() && line.front() != ':') return;
  if (!line.empty()) line.remove_prefix(1);
  if (line.starts_with(' ')) line.remove_prefix(1);
  if (data_.size() + line.size() + 1 > kLimit)
    fail(ErrorKind::limit, "an event is longer than {} bytes", kLimit);
  if (has_data_) data_ += '\n';
  data_ += line;
  has_data_ = true;
}

}  // namespace tern::load
