// What an engine did so far, and how it stands: for metrics.
#pragma once

#include <cstdint>

#include "base/histogram.h"
#include "engine/engine.h"
#include "model/statistics.h"

namespace tern {

/// Steps, or passes of prompts, of which the pace predicted what they would take.
struct StepStatistics {
  uint64_t count = 0;
  double predicted_s = 0, actual_s = 0;
  HistogramCounts seconds;  ///< over seconds_buckets()
  HistogramCounts ratio;    ///< actual over predicted, over ratio_buckets(), where something was predicted

  void add(double predicted, double actual);
};

/// How many requests of some kind ended how.
struct DeadlineOutcomes {
  uint64_t on_time = 0;    ///< a complete answer by then
  uint64_t late = 0;       ///< its end came later, or it was cut short, or failed
  uint64_t abandoned = 0;  ///< cancelled before either
};

/// Sums over the engine's life, and the state after its last step. A request here is one for the engine: a
/// choice, where a client asked for several.
struct EngineStatistics {
  int running = 0, waiting = 0, parallel = 0;
  int pages = 0, pages_used = 0, pages_reserved = 0;  ///< of the cache; reserved: set aside for who runs

  uint64_t steps = 0;
  uint64_t prompt_tokens = 0;                               ///< fed, those from the prefix cache not counted
  uint64_t generated_tokens = 0;                            ///< chosen, of which
  uint64_t thinking_tokens = 0;                             ///< these were thinking
  uint64_t prefix_query_tokens = 0, prefix_hit_tokens = 0;  ///< looked up in the prefix cache, and found

  StepStatistics decode;  ///< the streams' part of each step
  StepStatistics prompt;  ///< the prompts' part

  uint64_t promised = 0, refused = 0;  ///< deadlines
  uint64_t expired = 0;                ///< of the promised, late because they never got a place
  DeadlineOutcomes kept, unpromised;   ///< of requests with a deadline: promised ones, and the others
  uint64_t closed_by_model = 0, closed_by_budget = 0, closed_by_deadline = 0;  ///< thinking
  ModelStatistics model;

  /// Counts a request's end.
  void ended(const FinishEvent& event);
};

}  // namespace tern
