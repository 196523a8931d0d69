// What the training loop knows of a model, whatever its family.
#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "train/config.h"
#include "train/ops.h"
#include "train/parameters.h"

namespace tern::train {

/// How evenly the last step's tokens were spread over the experts.
struct Balance {
  double worst = 0;  ///< MaxVio of the worst layer: largest load / mean load - 1 (arXiv 2408.15664)
  double mean = 0;   ///< MaxVio averaged over the layers
};

class Network {
 public:
  explicit Network(const ModelConfig& config) : config_(config) {}
  virtual ~Network() = default;

  /// tokens {n} of packed sequences → {n, hidden}, after the last norm.
  virtual at::Tensor hidden(const at::Tensor& tokens, const Sequences& sequences) = 0;
  /// {vocab, hidden}
  virtual const at::Tensor& output() const = 0;

  /// Tensors by their Hugging Face names, each {out, in} or {n}.
  virtual std::vector<std::pair<std::string, at::Tensor>> named_tensors() const = 0;

  /// What is learned outside the gradient: the selection bias of each layer with experts, {experts} each.
  virtual std::vector<std::pair<std::string, at::Tensor>> buffers() const { return {}; }
  /// {layers with experts, experts} int64: tokens each expert got since the last call.
  virtual at::Tensor take_load() { return {}; }
  /// Moves the selection bias by `rate` towards the experts that got less than their share of `load`.
  virtual Balance balance(const at::Tensor& load, double rate);

  /// Weights that one token's forward multiplies by, the embedding's row left out.
  virtual int64_t active_weights() const = 0;

  const ModelConfig& config() const { return config_; }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }

 protected:
  ModelConfig config_;
  Parameters parameters_;
};

/// Standard deviations that weights start from: 1 / sqrt(inputs), the matrices that write into the residual
/// stream smaller by residual_share, so that its size doesn't grow with the depth; embeddings small against
/// both.
double deviation(int64_t inputs);
double residual_share(const ModelConfig& config);
double embedding_deviation(const ModelConfig& config);

/// The model of config.family with fresh weights drawn from `seed`.
std::unique_ptr<Network> make_network(const ModelConfig& config, at::TensorOptions options, uint64_t seed);
/// A second model with the weights of `original`, the same memory, and gradients of its own: for another
/// thread.
std::unique_ptr<Network> make_replica(Network& original);

}  // namespace tern::train
