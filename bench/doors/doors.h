// What the doors cost: the time from a token's choice to its event in another process, the server's CPU for
// it, its bytes. The model in front of which the real server stands costs nothing.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/clock.h"
#include "engine/engine.h"

namespace tern::doors {

struct Settings {
  int streams = 1000;
  int tokens = 500;             ///< of each stream
  int period_us = 20'000;       ///< between two tokens of a stream
  bool staggered = false;       ///< streams' tokens come one after another, spread over the period; else in
                                ///< one step
  double ramp_s = 4;   ///< over which the streams begin
  int deadline_ms = 0;  ///< of every request, far beyond its end: what promises cost; 0: none
};

/// When each token was chosen, in nanoseconds of the monotonic clock that both processes share: the server's
/// writes, the client's reads. Lies in shared memory.
class TokenTable {
 public:
  /// A new one; `file` is inherited by child processes.
  TokenTable(int streams, int tokens);
  /// That of a parent process.
  explicit TokenTable(int file);
  ~TokenTable();
  TokenTable(const TokenTable&) = delete;
  TokenTable& operator=(const TokenTable&) = delete;

  int file() const { return file_; }
  int streams() const { return head_->streams; }
  int tokens() const { return head_->tokens; }
  /// 0: not yet.
  std::atomic<int64_t>& chosen(int stream, int token) {
    return cells_[static_cast<size_t>(stream) * head_->tokens + token];
  }
  /// When the client began to send; 0: not yet.
  std::atomic<int64_t>& begun() { return head_->begun; }

 private:
  struct Head {
    int32_t streams, tokens;
    std::atomic<int64_t> begun;
  };
  void map(size_t bytes);

  int file_ = -1;
  size_t bytes_ = 0;
  Head* head_ = nullptr;
  std::atomic<int64_t>* cells_ = nullptr;
};

inline int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now().time_since_epoch()).count();
}

/// Bytes, tern's markers, and words of four letters and a space for the answers.
Tokenizer tokenizer();
inline constexpr int kFirstWord = 262, kWords = 26;
inline int32_t word_of(int token) { return kFirstWord + token % kWords; }
/// Which stream a prompt is of: the number that its byte tokens write.
int stream_of(std::span<const int32_t> prompt);

/// What the server stands in front of. bench_doors links a stand-in for the engine that only keeps the time,
/// bench_doors_engine the real one over a model that does.
std::unique_ptr<Engine> make_engine(const Settings& settings, TokenTable& table);
/// Its name in the report.
extern const char* const kEngineName;

/// The client's process: drives the streams with the load generator and prints what it saw as JSON.
int run_client(const Settings& settings, const std::string& url, int table_file);

}  // namespace tern::doors
