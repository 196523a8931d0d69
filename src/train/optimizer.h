// AdamW with decoupled decay (Loshchilov and Hutter, arXiv 1711.05101) over flat buffers, after clipping.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "train/config.h"
#include "train/parameters.h"

namespace tern::train {

class AdamW {
 public:
  AdamW(Parameters& parameters, const OptimizerConfig& config);

  /// Clips the gradients to config.clip, updates the weights, and clears the gradients.
  /// Returns the gradient's norm before clipping. Throws Error{internal} naming the parameter where a
  /// gradient is not finite, before any weight or moment has changed.
  double step(double learning_rate);

  /// First and second moments, flat as Parameters::values(): checkpoints save them.
  std::vector<at::Tensor>& first() { return first_; }
  std::vector<at::Tensor>& second() { return second_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

 private:
  Parameters& parameters_;
  OptimizerConfig config_;
  std::vector<at::Tensor> first_, second_;
  int64_t steps_ = 0;
};

}  // namespace tern::train
