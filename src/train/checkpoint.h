// Where a run stands, in one safetensors file: replaced whole or not at all, so that kill -9 costs only the
// minutes since the last one.
#pragma once

#include <cstdint>
#include <string>

#include "train/network.h"
#include "train/optimizer.h"

namespace tern::train {

/// The state of a run beside its tensors. Examples are drawn by index, so next_index is all of the data's
/// random state.
struct RunState {
  int64_t step = 0;
  int64_t tokens = 0;       ///< seen so far
  double seconds = 0;       ///< of training so far
  uint64_t next_index = 0;  ///< of the first example not yet seen
};

/// Writes weights, moments, selection biases, state and `settings` to `path`, atomically.
void save_checkpoint(const std::string& path, Network& network, AdamW& optimizer, const RunState& state,
                     const std::vector<Setting>& settings = {});

/// Fills network and optimizer. Throws Error{bad_input} naming the tensor where the file belongs to another
/// model.
RunState load_checkpoint(const std::string& path, Network& network, AdamW& optimizer);

/// Throws Error{bad_input} naming the first of `settings` that the checkpoint was saved with another value
/// of. One it was saved without is taken as equal.
void check_settings(const std::string& path, const std::vector<Setting>& settings);

}  // namespace tern::train
