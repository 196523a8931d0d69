// The run's log: one JSON object a line, and the loss curve drawn from it.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>

#include "train/probe.h"

namespace tern::train {

/// What a stretch of steps did: means over the stretch.
struct StepRecord {
  int64_t step = 0;
  int64_t tokens = 0;  ///< seen so far
  double seconds = 0;  ///< of training so far
  double loss = 0;
  double learning_rate = 0;
  double gradient_norm = 0;
  double max_violation = 0;  ///< MaxVio of the worst layer
  double mean_violation = 0;
  double tokens_a_second = 0;
};

class RunLog {
 public:
  /// Appends to `path`; lines of steps after `last_step` (a run that was killed after its last checkpoint)
  /// are dropped first. Throws Error{io}.
  RunLog(const std::string& path, int64_t last_step);
  RunLog(const RunLog&) = delete;
  RunLog& operator=(const RunLog&) = delete;
  ~RunLog();

  void add(const StepRecord& record);
  void add(int64_t step, int64_t tokens, double seconds, const ProbeResult& result);

 private:
  std::FILE* file_;
};

/// Draws loss and dev exact match over tokens from the log's text as an SVG picture.
std::string loss_curve_svg(const std::string& log_text, const std::string& title);

}  // namespace tern::train
