#include "model/statistics.h"

#include <numeric>

namespace tern {

const char* stage_name(Stage stage) {
  static constexpr const char* kNames[kStages] = {"attention", "router", "experts", "dense", "head", "rest"};
  return kNames[static_cast<size_t>(stage)];
}

double StageTimes::total() const {
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

ModelStatistics& operator+=(ModelStatistics& sum, const ModelStatistics& more) {
  for (size_t s = 0; s < kStages; ++s) sum.stages.seconds[s] += more.stages.seconds[s];
  sum.passes += more.passes;
  sum.tokens += more.tokens;
  sum.bytes += more.bytes;
  sum.waited_s += more.waited_s;
  return sum;
}

ModelStatistics operator-(const ModelStatistics& later, const ModelStatistics& earlier) {
  ModelStatistics between = later;
  for (size_t s = 0; s < kStages; ++s) between.stages.seconds[s] -= earlier.stages.seconds[s];
  between.passes -= earlier.passes;
  between.tokens -= earlier.tokens;
  between.bytes -= earlier.bytes;
  between.waited_s -= earlier.waited_s;
  return between;
}

}  // namespace tern
