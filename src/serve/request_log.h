// The log: one line a request.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "serve/options.h"
#include "serve/trace.h"

namespace tern {

/// What is told of one request when it has ended. Milliseconds count from its first byte.
struct RequestRecord {
  double time = 0;         ///< Unix seconds of its end
  std::string id;          ///< the reply's; empty where none was made
  std::string request_id;  ///< the client's X-Request-Id; empty where it sent none
  std::string method, route, path;
  int status = 0;
  std::string finish_reason;  ///< of each choice, joined by commas; empty where nothing was generated
  uint64_t prompt_tokens = 0, completion_tokens = 0, thinking_tokens = 0;
  double ttft_ms = -1;  ///< of the first choice that said something; negative: none did
  double e2e_ms = 0;
  double deadline_ms = -1;  ///< negative: it had none
  bool promised = false, on_time = false;
  std::string closed_by;
  bool client_left = false;  ///< before the answer's end
  uint64_t bytes = 0;        ///< of the answer, taken by the client's socket
  TraceContext trace;
  bool with_text = false;  ///< prompts and replies are told, too
  std::vector<std::string> prompts, replies;
};

/// One line, "\n" included; nothing in a record can end it or look like another field.
std::string json_line(const RequestRecord& record);
/// The same as key=value; values with blanks, quotes or control characters stand in quotes as JSON strings
/// do.
std::string text_line(const RequestRecord& record);

/// Writes lines to a file descriptor on a thread of its own, so that a reader who is slow or gone holds
/// nobody up: what it doesn't take in time is dropped and counted.
class LineWriter {
 public:
  static constexpr size_t kMostBytes = 4 << 20;  ///< waiting

  explicit LineWriter(int fd);
  /// Gives what waits a last second.
  ~LineWriter();

  /// Takes a line, or counts it as dropped. From any thread; never waits for the file.
  void write(std::string line);
  uint64_t dropped() const { return dropped_; }

 private:
  void run();
  bool put(std::string_view bytes);

  const int fd_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::string> lines_;
  size_t bytes_ = 0;
  bool ending_ = false;
  std::atomic<bool> out_of_time_ = false;
  std::atomic<uint64_t> dropped_ = 0;
  std::thread thread_;
};

class RequestLog {
 public:
  RequestLog(LogFormat format, int fd);
  void write(const RequestRecord& record);
  uint64_t dropped() const { return writer_.dropped(); }

 private:
  LogFormat format_;
  LineWriter writer_;
};

}  // namespace tern
