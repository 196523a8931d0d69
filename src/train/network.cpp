#include "train/network.h"

#include <cmath>

#include "train/dense.h"
#include "train/model.h"

namespace tern::train {

Balance Network::balance(const at::Tensor&, double) {
  return {};
}

double deviation(int64_t inputs) {
  return 1.0 / std::sqrt(static_cast<double>(inputs));
}

double residual_share(const ModelConfig& config) {
  return 1.0 / std::sqrt(2.0 * static_cast<double>(config.layers));
}

double embedding_deviation(const ModelConfig& config) {
  return config.tied ? deviation(config.hidden) : 0.2;
}

std::unique_ptr<Network> make_network(const ModelConfig& config, at::TensorOptions options, uint64_t seed) {
  if (config.family == Family::llama) return std::make_unique<LlamaModel>(config, options, seed, nullptr);
  return std::make_unique<DeepseekModel>(config, options, seed, nullptr);
}

std::unique_ptr<Network> make_replica(Network& original) {
  const at::TensorOptions options = original.output().options().requires_grad(false);
  if (auto* llama = dynamic_cast<LlamaModel*>(&original)) {
    return std::make_unique<LlamaModel>(original.config(), options, 0, llama);
  }
  return std::make_unique<DeepseekModel>(original.config(), options, 0,
                                         &dynamic_cast<DeepseekModel&>(original));
}

}  // namespace tern::train
