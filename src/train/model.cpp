#include "train/model.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>

namespace tern::train {

DeepseekModel::DeepseekModel(const ModelConfig& config, at::TensorOptions options, uint64_t seed,
                             const DeepseekModel* original)
    : Network(config) {
  embedding_ =
      parameters_.add_matrix("embedding", {config.vocab_size, config.hidden}, embedding_deviation(config));
  for (int64_t i = 0; i < config.layers; ++i) layers_.push_back(declare_layer(i));
  final_norm_ = parameters_.add_norm("final_norm", config.hidden);
  output_ = config.tied ? embedding_
                        : parameters_.add_matrix("output", {config.vocab_size, config.hidden},
                                                 deviation(config.hidden));
  original ? parameters_.share(original->parameters_) : parameters_.allocate(options, seed);
  for (int64_t i = config.dense_layers; i < config.layers; ++i) {
    layers_[i].bias = original ? original->layers_[i].bias : at::zeros({config.experts}, options);
    layers_[i].load = at::zeros({config.experts}, options.dtype(at::kLong));
  }
  rope_ = RopeTable(config.context, config.rope_dim, config.rope_theta, options);
}

DeepseekModel::Layer DeepseekModel::declare_layer(int64_t index) {
  const ModelConfig& c = config_;
  const auto name = [&](const char* part) { return "layers." + std::to_string(index) + "." + part; };
  const auto matrix = [&](const char* part, std::vector<int64_t> shape, double share = 1) {
    const int64_t inputs = shape.back();
    return parameters_.add_matrix(name(part), std::move(shape), deviation(inputs) * share);
  };
  const double residual = residual_share(c);
  Layer layer;
  layer.attn_norm = parameters_.add_norm(name("attn_norm"), c.hidden);
  layer.attn_down = matrix("attn_down", {c.query_rank + c.latent_rank + c.rope_dim, c.hidden});
  layer.query_norm = parameters_.add_norm(name("query_norm"), c.query_rank);
  layer.query_up = matrix("query_up", {c.heads * c.query_dim(), c.query_rank});
  layer.latent_norm = parameters_.add_norm(name("latent_norm"), c.latent_rank);
  layer.latent_up = matrix("latent_up", {c.heads * (c.nope_dim + c.value_dim), c.latent_rank});
  layer.attn_out = matrix("attn_out", {c.hidden, c.heads * c.value_dim}, residual);
  layer.ffn_norm = parameters_.add_norm(name("ffn_norm"), c.hidden);
  const bool dense = index < c.dense_layers;
  const int64_t ff = dense ? c.dense_ff : c.shared_experts * c.expert_ff;
  layer.gate_up = matrix("gate_up", {2 * ff, c.hidden});
  layer.down = matrix("down", {c.hidden, ff}, residual);
  if (dense) return layer;
  layer.router = matrix("router", {c.experts, c.hidden});
  layer.expert_gate_up = matrix("expert_gate_up", {c.experts, 2 * c.expert_ff, c.hidden});
  layer.expert_down = matrix("expert_down", {c.experts, c.hidden, c.expert_ff}, residual);
  return layer;
}

at::Tensor DeepseekModel::hidden(const at::Tensor& tokens, const Sequences& sequences) {
  at::Tensor x = at::embedding(parameters_[embedding_], tokens);
  for (Layer& layer : layers_) {
    x = x + attend(layer, rms_norm(x, parameters_[layer.attn_norm], config_.norm_eps), sequences);
    const at::Tensor h = rms_norm(x, parameters_[layer.ffn_norm], config_.norm_eps);
    x = x + feed(layer.gate_up, layer.down, h);
    if (layer.bias.defined()) x = x + mix(layer, h);
  }
  return rms_norm(x, parameters_[final_norm_], config_.norm_eps);
}

at::Tensor DeepseekModel::attend(const Layer& layer, const at::Tensor& x, const Sequences& sequences) const {
  const ModelConfig& c = config_;
  const at::Tensor low = at::mm(x, parameters_[layer.attn_down].t());
  const auto parts = low.split_with_sizes({c.query_rank, c.latent_rank, c.rope_dim}, 1);
  const at::Tensor query = rms_norm(parts[0], parameters_[layer.query_norm], c.norm_eps);
  const at::Tensor latent = rms_norm(parts[1], parameters_[layer.latent_norm], c.norm_eps);
  const at::Tensor q = at::mm(query, parameters_[layer.query_up].t()).unflatten(1, {c.heads, c.query_dim()});
  const at::Tensor kv =
      at::mm(latent, parameters_[layer.latent_up].t()).unflatten(1, {c.heads, c.nope_dim + c.value_dim});
  const at::Tensor out = attention(q, kv, parts[2].unsqueeze(1), sequences, rope_);
  return at::mm(out.flatten(1), parameters_[layer.attn_out].t());
}

at::Tensor DeepseekModel::feed(size_t gate_up, size_t down, const at::Tensor& x) const {
  return at::mm(swiglu(at::mm(x, parameters_[gate_up].t())), parameters_[down].t());
}

at::Tensor DeepseekModel::mix(Layer& layer, const at::Tensor& x) const {
  const at::Tensor scores = at::sigmoid(at::mm(x, parameters_[layer.router].t()));
  const at::Tensor chosen = std::get<1>(at::topk(scores.detach() + layer.bias, config_.experts_used, -1));
  if (c10::GradMode::is_enabled()) layer.load.add_(at::bincount(chosen.flatten(), {}, config_.experts));
  at::Tensor weights = scores.gather(1, chosen);
  weights = weights / (weights.sum(1, true) + 1e-20) * config_.expert_scale;
  return experts(x, chosen, weights, parameters_[layer.expert_gate_up], parameters_[layer.expert_down]);
}

at::Tensor DeepseekModel::take_load() {
  std::vector<at::Tensor> loads;
  for (Layer& layer : layers_) {
    if (!layer.bias.defined()) continue;
    loads.push_back(layer.load.clone());
    layer.load.zero_();
  }
  return loads.empty() ? at::Tensor() : at::stack(loads);
}

Balance DeepseekModel::balance(const at::Tensor& load, double rate) {
  if (!load.defined()) return {};
  const at::Tensor counts = load.to(at::kFloat);
  const at::Tensor mean = counts.mean(1, true);
  int64_t row = 0;
  for (Layer& layer : layers_) {
    if (!layer.bias.defined()) continue;
    layer.bias.add_(at::sign(mean[row] - counts[row]), rate);
    ++row;
  }
  const at::Tensor violation = counts.amax(1) / mean.squeeze(1).clamp_min(1e-9) - 1;
  return {violation.max().item<double>(), violation.mean().item<double>()};
}

const at::Tensor& DeepseekModel::output() const {
  return parameters_[output_];
}

std::vector<std::pair<std::string, at::Tensor>> DeepseekModel::buffers() const {
  std::vector<std::pair<std::string, at::Tensor>> result;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (layers_[i].bias.defined())
      result.emplace_back("layers." + std::to_string(i) + ".bias", layers_[i].bias);
  }
  return result;
}

std::vector<std::pair<std::string, at::Tensor>> DeepseekModel::named_tensors() const {
  const ModelConfig& c = config_;
  std::vector<std::pair<std::string, at::Tensor>> result;
  const auto add = [&](const std::string& name, const at::Tensor& value) {
    result.emplace_back(name, value.detach());
  };
  const auto add_feed = [&](const std::string& prefix, const at::Tensor& gate_up, const at::Tensor& down) {
    const int64_t ff = down.size(1);
    add(prefix + "gate_proj.weight", gate_up.narrow(0, 0, ff));
    add(prefix + "up_proj.weight", gate_up.narrow(0, ff, ff));
    add(prefix + "down_proj.weight", down);
  };
  add("model.embed_tokens.weight", parameters_[embedding_]);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    const at::Tensor& low = parameters_[layer.attn_down];
    add(prefix + "input_layernorm.weight", parameters_[layer.attn_norm]);
    add(prefix + "self_attn.q_a_proj.weight", low.narrow(0, 0, c.query_rank));
    add(prefix + "self_attn.q_a_layernorm.weight", parameters_[layer.query_norm]);
    add(prefix + "self_attn.q_b_proj.weight", parameters_[layer.query_up]);
    add(prefix + "self_attn.kv_a_proj_with_mqa.weight",
        low.narrow(0, c.query_rank, c.latent_rank + c.rope_dim));
    add(prefix + "self_attn.kv_a_layernorm.weight", parameters_[layer.latent_norm]);
    add(prefix + "self_attn.kv_b_proj.weight", parameters_[layer.latent_up]);
    add(prefix + "self_attn.o_proj.weight", parameters_[layer.attn_out]);
    add(prefix + "post_attention_layernorm.weight", parameters_[layer.ffn_norm]);
    const bool dense = !layer.bias.defined();
    add_feed(prefix + (dense ? "mlp." : "mlp.shared_experts."), parameters_[layer.gate_up],
             parameters_[layer.down]);
    if (dense) continue;
    add(prefix + "mlp.gate.weight", parameters_[layer.router]);
    add(prefix + "mlp.gate.e_score_correction_bias", layer.bias);
    for (int64_t e = 0; e < c.experts; ++e) {
      add_feed(prefix + "mlp.experts." + std::to_string(e) + ".",
               parameters_[layer.expert_gate_up].select(0, e), parameters_[layer.expert_down].select(0, e));
    }
  }
  add("model.norm.weight", parameters_[final_norm_]);
  if (!c.tied) add("lm_head.weight", parameters_[output_]);
  return result;
}

int64_t DeepseekModel::active_weights() const {
  const ModelConfig& c = config_;
  const int64_t idle =
      (c.experts - c.experts_used) * 3 * c.expert_ff * c.hidden * (c.layers - c.dense_layers);
  const int64_t looked_up = c.tied ? 0 : c.vocab_size * c.hidden;
  return parameters_.count() - idle - looked_up;
}

}  // namespace tern::train
