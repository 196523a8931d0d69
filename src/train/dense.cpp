#include "train/dense.h"

#include <ATen/ATen.h>

namespace tern::train {

LlamaModel::LlamaModel(const ModelConfig& config, at::TensorOptions options, uint64_t seed,
                       const LlamaModel* original)
    : Network(config) {
  const ModelConfig& c = config_;
  embedding_ = parameters_.add_matrix("embedding", {c.vocab_size, c.hidden}, embedding_deviation(c));
  for (int64_t i = 0; i < c.layers; ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    const int64_t heads = c.heads + 2 * c.kv_heads, width = c.heads * c.head_dim;
    Layer layer;
    layer.attn_norm = parameters_.add_norm(prefix + "attn_norm", c.hidden);
    layer.qkv = parameters_.add_matrix(prefix + "qkv", {heads * c.head_dim, c.hidden}, deviation(c.hidden));
    layer.attn_out =
        parameters_.add_matrix(prefix + "attn_out", {c.hidden, width}, deviation(width) * residual_share(c));
    layer.ffn_norm = parameters_.add_norm(prefix + "ffn_norm", c.hidden);
    layer.gate_up =
        parameters_.add_matrix(prefix + "gate_up", {2 * c.dense_ff, c.hidden}, deviation(c.hidden));
    layer.down = parameters_.add_matrix(prefix + "down", {c.hidden, c.dense_ff},
                                        deviation(c.dense_ff) * residual_share(c));
    layers_.push_back(layer);
  }
  final_norm_ = parameters_.add_norm("final_norm", c.hidden);
  output_ =
      c.tied ? embedding_ : parameters_.add_matrix("output", {c.vocab_size, c.hidden}, deviation(c.hidden));
  original ? parameters_.share(original->parameters_) : parameters_.allocate(options, seed);
  rope_ = RopeTable(c.context, c.head_dim, c.rope_theta, options);
}

at::Tensor LlamaModel::hidden(const at::Tensor& tokens, const Sequences& sequences) {
  const ModelConfig& c = config_;
  at::Tensor x = at::embedding(parameters_[embedding_], tokens);
  for (const Layer& layer : layers_) {
    at::Tensor h = rms_norm(x, parameters_[layer.attn_norm], c.norm_eps);
    const at::Tensor qkv =
        at::mm(h, parameters_[layer.qkv].t()).unflatten(1, {c.heads + 2 * c.kv_heads, c.head_dim});
    const auto parts = qkv.split_with_sizes({c.heads, c.kv_heads, c.kv_heads}, 1);
    const at::Tensor out = attention(parts[0], parts[2], parts[1], sequences, rope_);
    x = x + at::mm(out.flatten(1), parameters_[layer.attn_out].t());
    h = rms_norm(x, parameters_[layer.ffn_norm], c.norm_eps);
    x = x + at::mm(swiglu(at::mm(h, parameters_[layer.gate_up].t())), parameters_[layer.down].t());
  }
  return rms_norm(x, parameters_[final_norm_], c.norm_eps);
}

const at::Tensor& LlamaModel::output() const {
  return parameters_[output_];
}

std::vector<std::pair<std::string, at::Tensor>> LlamaModel::named_tensors() const {
  const ModelConfig& c = config_;
  std::vector<std::pair<std::string, at::Tensor>> result;
  const auto add = [&](const std::string& name, const at::Tensor& value) {
    result.emplace_back(name, value.detach());
  };
  add("model.embed_tokens.weight", parameters_[embedding_]);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    const int64_t queries = c.heads * c.head_dim, keys = c.kv_heads * c.head_dim;
    const at::Tensor qkv = parameters_[layer.qkv].detach(), gate_up = parameters_[layer.gate_up].detach();
    add(prefix + "input_layernorm.weight", parameters_[layer.attn_norm]);
    add(prefix + "self_attn.q_proj.weight", to_half_split(qkv.narrow(0, 0, queries), c.heads));
    add(prefix + "self_attn.k_proj.weight", to_half_split(qkv.narrow(0, queries, keys), c.kv_heads));
    add(prefix + "self_attn.v_proj.weight", qkv.narrow(0, queries + keys, keys));
    add(prefix + "self_attn.o_proj.weight", parameters_[layer.attn_out]);
    add(prefix + "post_attention_layernorm.weight", parameters_[layer.ffn_norm]);
    add(prefix + "mlp.gate_proj.weight", gate_up.narrow(0, 0, c.dense_ff));
    add(prefix + "mlp.up_proj.weight", gate_up.narrow(0, c.dense_ff, c.dense_ff));
    add(prefix + "mlp.down_proj.weight", parameters_[layer.down]);
  }
  add("model.norm.weight", parameters_[final_norm_]);
  if (!c.tied) add("lm_head.weight", parameters_[output_]);
  return result;
}

int64_t LlamaModel::active_weights() const {
  return parameters_.count() - (config_.tied ? 0 : config_.vocab_size * config_.hidden);
}

at::Tensor to_half_split(const at::Tensor& rows, int64_t heads) {
  const int64_t half = rows.size(0) / heads / 2;
  return rows.unflatten(0, {heads, half, 2}).transpose(1, 2).flatten(0, 2).contiguous();
}

at::Tensor to_neighbours(const at::Tensor& rows, int64_t heads) {
  const int64_t half = rows.size(0) / heads / 2;
  return rows.unflatten(0, {heads, 2, half}).transpose(1, 2).flatten(0, 2).contiguous();
}

}  // namespace tern::train
