// The dense twin: a Llama-style model with grouped-query attention (arXiv 2307.09288).
#pragma once

#include "train/network.h"

namespace tern::train {

/// Queries and keys rotate neighbouring pairs, as GGUF's `llama` files store them; named_tensors() permutes
/// their rows to the half-split rotation that Hugging Face's LlamaForCausalLM wants.
class LlamaModel : public Network {
 public:
  /// Weights drawn from `seed`, or those of `original` where it is given.
  LlamaModel(const ModelConfig& config, at::TensorOptions options, uint64_t seed, const LlamaModel* original);

  at::Tensor hidden(const at::Tensor& tokens, const Sequences& sequences) override;
  const at::Tensor& output() const override;
  std::vector<std::pair<std::string, at::Tensor>> named_tensors() const override;
  int64_t active_weights() const override;

 private:
  struct Layer {
    size_t attn_norm, qkv, attn_out, ffn_norm, gate_up, down;
  };
  std::vector<Layer> layers_;
  size_t embedding_ = 0, final_norm_ = 0, output_ = 0;
  RopeTable rope_;
};

/// Rows {heads * head_dim, in} from neighbouring pairs to half-split order, or back.
at::Tensor to_half_split(const at::Tensor& rows, int64_t heads);
at::Tensor to_neighbours(const at::Tensor& rows, int64_t heads);

}  // namespace tern::train
