// What forward passes did: where their time went, and what they read from memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace tern {

/// The parts of a forward pass. A layer's norms and sums are counted with the half that they belong to.
enum class Stage {
  attention,
  router,   ///< scores, choice, and sorting the tokens by expert
  experts,  ///< routed and shared ones, and their sum
  dense,    ///< feed-forward of layers without experts
  head,     ///< the output norm and the logits
  rest,     ///< the batch's plan, embeddings, a draft layer's join
};
inline constexpr size_t kStages = 6;
/// "attention", "router", …
const char* stage_name(Stage stage);

/// Seconds of each stage, on the thread that runs the pass.
struct StageTimes {
  std::array<double, kStages> seconds{};

  double operator[](Stage stage) const { return seconds[static_cast<size_t>(stage)]; }
  double total() const;
};

/// Sums over all passes so far; the difference of two tells of what lies between.
struct ModelStatistics {
  StageTimes stages;
  uint64_t passes = 0;  ///< that were completed
  uint64_t tokens = 0;  ///< in them
  /// Weights once a pass (of the experts, those that were chosen) and the cached rows that were attended to
  /// once a sequence and layer: what a pass must read at least. Its quotient with the stages' total is the
  /// bandwidth that was reached.
  uint64_t bytes = 0;
  double waited_s = 0;  ///< of the stages' time, for other threads to end their part
};
ModelStatistics& operator+=(ModelStatistics& sum, const ModelStatistics& more);
ModelStatistics operator-(const ModelStatistics& later, const ModelStatistics& earlier);

/// Gives each stretch of time to a stage: one reading of the clock between two stages.
class StageClock {
 public:
  explicit StageClock(StageTimes& times) : times_(times) {}

  void start() { last_ = Clock::now(); }
  /// What passed since start() or the last lap was this stage's.
  void lap(Stage stage) {
    const TimePoint now = Clock::now();
    times_.seconds[static_cast<size_t>(stage)] += seconds_between(last_, now);
    last_ = now;
  }

 private:
  StageTimes& times_;
  TimePoint last_{};
};

}  // namespace tern
