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

ModelStatistics operator-(const ModelStatistics& later, const ModelStatistics& earlier) {
  ModelStatistics between = later;
  for (size_t s = 0; s < kStages; ++s) between.stages.seconds[s] -= earlier.stages.seconds[s];
  between.passes -= earlier.passes;
  between.tokens -= earlier.tokens;
  between.bytes -= earlier.bytes;
  return between;
}

}  // namespace tern
