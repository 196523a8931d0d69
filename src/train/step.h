// One training step: forward and backward of a batch, on one device or on several threads of the CPU.
#pragma once

#include <memory>
#include <vector>

#include "train/batch.h"
#include "train/network.h"

namespace tern::train {

/// Each thread takes a part of the batch's sequences through a replica of the model that shares its weights,
/// and the gradients are added once: two threads meet once a step, not at every operation, so a busy
/// neighbour costs its share and no more.
class Stepper {
 public:
  /// `network` outlives the object. More than one thread only on the CPU.
  Stepper(Network& network, int threads);

  /// Adds the gradients of the batch's mean loss to network.parameters().gradients(); returns the loss.
  /// Throws what a thread threw.
  double accumulate(const Batch& batch);
  /// The mean loss alone.
  double loss(const Batch& batch);
  /// Tokens each expert got in accumulate() since the last call; undefined for a dense model.
  at::Tensor take_load();

 private:
  double run(const Batch& batch, bool learn);

  std::vector<Network*> networks_;
  std::vector<std::unique_ptr<Network>> replicas_;
};

/// The batch's sequences in at most `parts` runs of about equally many tokens.
std::vector<Batch> split_batch(const Batch& batch, size_t parts);

}  // namespace tern::train
