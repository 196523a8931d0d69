// The run: data, step, optimizer, log, checkpoint, in a loop.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "train/config.h"

namespace tern::train {

struct TrainerOptions {
  std::string config_path;
  std::string out;  ///< the run's folder, made where missing
  bool resume = false;
  std::string device = "cpu";
  int threads = 2;     ///< on the CPU
  double minutes = 0;  ///< where positive, instead of the config's
  int64_t steps = 0;   ///< where positive, instead of the config's
};

/// Runs until the config's steps or minutes are spent, or SIGINT or SIGTERM ask to stop (a checkpoint is
/// written then), and exports. `out` gets the config as it is run, config.toml. Throws Error{bad_input} where
/// `out` holds a run and resume is not set, or one whose model, data or seed differ.
void train_search(const Config& config, const TrainerOptions& options);

/// The logits {tokens, vocab} of one sequence by the weights of the run's checkpoint, to hold other engines
/// to.
std::vector<std::vector<float>> run_logits(const Config& config, const TrainerOptions& options,
                                           const std::vector<int64_t>& tokens);

}  // namespace tern::train
