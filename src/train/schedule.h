// The learning rate over a run: linear warm-up, then half a cosine.
#pragma once

#include "train/config.h"

namespace tern::train {

/// How far the run is, 0 to 1: the larger share of its steps and of its minutes that are spent.
double run_progress(const RunConfig& run, int64_t step, double seconds);

/// The learning rate at `progress`.
double learning_rate(const OptimizerConfig& optimizer, double progress);

}  // namespace tern::train
