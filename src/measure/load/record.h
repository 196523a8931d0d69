// What became of each request, and of all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "measure/load/histogram.h"

namespace tern::load {

/// By the client's clock.
enum class Fate : uint8_t {
  done,     ///< answered; it had no deadline
  on_time,  ///< a complete answer (finish_reason stop) by its deadline
  late,     ///< answered after its deadline, or cut short
  refused,  ///< 429 or 503
  failed,
};

/// One counted request, for a plot.
struct Record {
  float due_s = 0;       ///< from the measured time's begin
  float latency_s = 0;   ///< from when it was due to its end
  float deadline_s = 0;  ///< 0: none
  Fate fate = Fate::done;
};

constexpr size_t kMostRecords = 1'000'000;

/// A measurement. Times are in seconds and count from when a request was due: in an open loop and a trace by
/// the schedule, whether or not the client or the server kept up (no coordinated omission); in a closed loop
/// from when the one before it ended.
struct LoadReport {
  uint64_t sent = 0;      ///< requests that are counted: due after the warm-up
  uint64_t done = 0;      ///< answered, whatever their deadlines
  uint64_t complete = 0;  ///< of them those that ended by themselves, or, without a deadline, at max_tokens
  uint64_t with_deadline = 0, on_time = 0, late = 0, refused = 0, failed = 0;
  uint64_t server_said = 0, server_on_time = 0;  ///< answers with a `tern` object; those on time by its word
  std::map<std::string, uint64_t> failures;      ///< by reason

  double seconds = 0;              ///< measured
  uint64_t completed_in_time = 0;  ///< complete answers whose end fell into the measured time
  uint64_t tokens = 0, reasoning_tokens = 0, prompt_tokens = 0;  ///< of done requests
  uint64_t tokens_in_time = 0;                                   ///< those that came in the measured time
  uint64_t estimated = 0;  ///< done requests without a usage, whose events were counted as tokens
  uint64_t bytes = 0;      ///< received for done requests
  double client_cpu_s = 0, client_wall_s = 0;  ///< the CPU is of the whole process

  Histogram ttfb, ttft, ttfa;   ///< first byte, first token, first token of the answer; of done requests
  Histogram itl;                ///< between two events with text of one request
  Histogram e2e, refusal;       ///< until the end of what was done; until a refusal
  Histogram lag;                ///< from when a request was due to when this client sent it
  std::vector<Record> records;  ///< of the first million

  /// Counts a failure's reason; those beyond 32 different ones as "other reasons".
  void add_reason(const std::string& why, uint64_t count = 1);
  /// Takes in another measurement, as if one had gone on where the other ended: counts, times and seconds are
  /// summed, so rates are over the time of both. The records' times stay those of their own measurement.
  void add(const LoadReport& other);

  uint64_t accepted() const { return sent - refused; }
  double on_time_share() const { return share(on_time, accepted()); }  ///< of accepted requests
  double refused_share() const { return share(refused, sent); }
  double complete_per_s() const { return seconds > 0 ? static_cast<double>(completed_in_time) / seconds : 0; }
  double tokens_per_s() const { return seconds > 0 ? static_cast<double>(tokens_in_time) / seconds : 0; }
  double bytes_per_token() const {
    return tokens ? static_cast<double>(bytes) / static_cast<double>(tokens) : 0;
  }

  static double share(uint64_t part, uint64_t of) {
    return of ? static_cast<double>(part) / static_cast<double>(of) : 0;
  }
};

}  // namespace tern::load
