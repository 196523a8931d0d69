// What /stats says: how the server does now, for the page at /.
#pragma once

#include <chrono>
#include <deque>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/statistics.h"
#include "serve/telemetry.h"

namespace tern {

/// The counters as they stood at one moment.
struct StatsSample {
  TimePoint at;
  EngineStatistics engine;
  std::vector<uint64_t> experts;  ///< Engine::expert_choices()
  HistogramCounts first_token, inter_token, queue;
};

/// What happened in the last ten seconds: the difference of the counters now and then. Belongs to one thread.
class StatsWindow {
 public:
  static constexpr std::chrono::seconds kStep{1};  ///< between two samples
  static constexpr std::chrono::seconds kLength{10};

  /// Remembers how things stand.
  void sample(const Telemetry& telemetry, const Engine& engine);
  /// The JSON of /stats, whose keys docs/serving.md has. Rates are those of the window, or of the time since
  /// the first sample where that is shorter; quantiles of nothing are null.
  std::string json(const Telemetry& telemetry, const Engine& engine, const std::string& model) const;

 private:
  std::deque<StatsSample> samples_;
  TimePoint started_ = Clock::now();
};

}  // namespace tern
