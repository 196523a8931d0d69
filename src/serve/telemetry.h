// What the doors measure: histograms and counts of requests, and the log. Shared by all doors of a server.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "base/histogram.h"
#include "engine/engine.h"
#include "serve/request_log.h"

namespace tern {

/// Requests here are the engine's: a choice, where a client asked for several (as vLLM counts). Times count
/// from a request's first byte; on a fresh connection, from its accept. Any thread may add and read.
struct DoorMetrics {
  Histogram first_token{seconds_buckets()};         ///< until the first token was handed to the connection
  Histogram first_answer_token{seconds_buckets()};  ///< likewise, of the answer
  Histogram inter_token{seconds_buckets()};         ///< between two tokens of a stream
  Histogram e2e{seconds_buckets()};                 ///< until the last one, of complete answers
  Histogram queue{seconds_buckets()};               ///< until its first step
  Histogram refusal{seconds_buckets()};             ///< until a 429
  Histogram prompt_tokens{count_buckets()}, generation_tokens{count_buckets()},
      thinking_tokens{count_buckets()};
  std::array<std::atomic<uint64_t>, 4> finished{};  ///< by FinishReason

  /// Counts the answer to one HTTP request or call.
  void count_response(const std::string& route, int code);
  std::map<std::pair<std::string, int>, uint64_t> responses() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, int>, uint64_t> responses_;
};

/// "stop", "length", "abort", "error": vLLM's names.
const char* finished_name(FinishReason reason);

struct Telemetry {
  Telemetry(LogFormat format, bool with_prompts, int log_fd);

  DoorMetrics metrics;
  const std::unique_ptr<RequestLog> log;  ///< none where nothing is to be logged
  const bool log_prompts;
};

}  // namespace tern
