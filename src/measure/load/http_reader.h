// Reads HTTP/1.1 responses from a server that is not trusted, in pieces as they come.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace tern::load {

struct ResponseHead {
  int status = 0;
  bool keep_alive = false;
  bool event_stream = false;            ///< Content-Type: text/event-stream
  std::optional<double> retry_after_s;  ///< of retry-after-ms, else of Retry-After
};

/// One response at a time: head, then a body by Content-Length, in chunks, or up to the connection's end (RFC
/// 9112). Interim (1xx) responses are passed over. It keeps at most a head: 64 KiB.
class HttpReader {
 public:
  using Body = std::function<void(std::string_view)>;

  /// Takes bytes up to the response's end; returns how many. Pieces of the body go to `body`.
  /// Throws Error{bad_input} for what is no response, Error{limit} for a head, a chunk's head or a trailer
  /// that is too long, and what `body` throws; nothing may be fed after that.
  size_t feed(std::string_view bytes, const Body& body);
  /// The connection has ended: throws Error{bad_input} unless the response is whole with that.
  void end();

  bool head_done() const { return at_ > At::head; }
  const ResponseHead& head() const { return head_; }  ///< once head_done()
  bool done() const { return at_ == At::done; }
  /// Ready for the next response.
  void reset() { *this = {}; }

 private:
  enum class At { head, until_end, counted, chunk_head, chunk, chunk_end, trailer, done };

  size_t take_line(std::string_view bytes, size_t limit, const char* what);
  void read_head();
  void read_field(std::string_view name, std::string_view value);
  void begin_body();
  void read_chunk_head();

  At at_ = At::head;
  ResponseHead head_;
  std::string line_;  ///< the line under way, of the head or of chunks
  bool line_done_ = false;
  size_t lines_bytes_ = 0;  ///< of this head or trailer
  int interim_ = 0;
  bool status_seen_ = false, chunked_ = false;
  std::optional<uint64_t> length_;
  uint64_t left_ = 0;  ///< bytes of the body, or of this chunk
};

}  // namespace tern::load
