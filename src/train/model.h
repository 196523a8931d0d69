// The DeepSeek-V3-style model: multi-head latent attention and a mixture of experts.
// Papers: DeepSeek-V2 (arXiv 2405.04434), DeepSeek-V3 (arXiv 2412.19437).
#pragma once

#include "train/network.h"

namespace tern::train {

class DeepseekModel : public Network {
 public:
  /// Weights drawn from `seed`, or those of `original` where it is given.
  DeepseekModel(const ModelConfig& config, at::TensorOptions options, uint64_t seed,
                const DeepseekModel* original);

  at::Tensor hidden(const at::Tensor& tokens, const Sequences& sequences) override;
  const at::Tensor& output() const override;
  std::vector<std::pair<std::string, at::Tensor>> named_tensors() const override;
  std::vector<std::pair<std::string, at::Tensor>> buffers() const override;
  at::Tensor take_load() override;
  Balance balance(const at::Tensor& load, double rate) override;
  int64_t active_weights() const override;

 private:
  /// Numbers of a layer's parameters.
  struct Layer {
    size_t attn_norm, attn_down, query_norm, query_up, latent_norm, latent_up, attn_out, ffn_norm;
    size_t gate_up, down;  ///< the dense feed-forward, or the shared experts as one
    size_t router = 0, expert_gate_up = 0, expert_down = 0;
    at::Tensor bias;  ///< {experts}, added to the scores for choosing only; undefined in dense layers
    at::Tensor load;  ///< {experts}, pairs routed to each expert since the last balance()
  };

  Layer declare_layer(int64_t index);
  at::Tensor attend(const Layer& layer, const at::Tensor& x, const Sequences& sequences) const;
  at::Tensor feed(size_t gate_up, size_t down, const at::Tensor& x) const;
  at::Tensor mix(Layer& layer, const at::Tensor& x) const;

  std::vector<Layer> layers_;
  size_t embedding_ = 0, final_norm_ = 0, output_ = 0;
  RopeTable rope_;
};

}  // namespace tern::train
