#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tern::train {

double run_progress(const RunConfig& run, int64_t step, double seconds) {
  const double by_steps = run.steps > 0 ? static_cast<double>(step) / static_cast<double>(run.steps) : 0;
  const double by_time = run.minutes > 0 ? seconds / (60 * run.minutes) : 0;
  return std::min(1.0, std::max(by_steps, by_time));
}

double learning_rate(const OptimizerConfig& optimizer, double progress) {
  if (progress < optimizer.warmup)
    return optimizer.learning_rate * std::max(progress / optimizer.warmup, 0.01);
  const double rest = (progress - optimizer.warmup) / std::max(1 - optimizer.warmup, 1e-9);
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * std::min(rest, 1.0)));
  return optimizer.learning_rate * (optimizer.final_ratio + (1 - optimizer.final_ratio) * cosine);
}

}  // namespace tern::train
