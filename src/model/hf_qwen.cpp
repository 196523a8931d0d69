// Qwen2, Qwen3 and Qwen3-MoE checkpoints.
#include <fmt/format.h>

#include "base/checked.h"
#include "base/error.h"
#include "model/hf_families.h"

namespace tern {
namespace {

struct Family {
  bool bias;   ///< on q, k and v
  bool norms;  ///< over each head of q and k
  bool moe;
};

/// transformers 5 writes it under another name.
uint64_t expert_count(const HfConfig& config) {
  return config.get_uint(config.has("num_local_experts") ? "num_local_experts" : "num_experts");
}

void refuse_switches(const HfConfig& config, const Family& family) {
  config.expect("attention_bias", family.bias);
  config.expect("use_sliding_window", false);
  for (const std::string& type : config.strings("layer_types")) {
    if (type != "full_attention") config.refuse("layer_types", "tern runs full attention in this family");
  }
  if (!family.moe) return;
  config.expect("norm_topk_prob", true);
  if (!config.has("norm_topk_prob")) config.refuse("norm_topk_prob", "false by default; tern runs true only");
  config.expect_number("decoder_sparse_step", 1);
  if (config.has("mlp_only_layers") && !config.is_empty_array("mlp_only_layers"))
    config.refuse("mlp_only_layers", "tern runs experts in every layer");
}

void add_attention(HfAssembly& to, const Family& family, const std::string& name, const std::string& from,
                   uint64_t q, uint64_t kv, uint64_t width) {
  const uint64_t hidden = to.config().get_uint("hidden_size");
  const auto project = [&](const char* part, uint64_t rows) {
    const std::string source = fmt::format("{}{}_proj.", from, part);
    to.matrix(fmt::format("{}attn_{}.weight", name, part), source + "weight", rows, hidden);
    if (family.bias) to.exact(fmt::format("{}attn_{}.bias", name, part), source + "bias", {rows});
  };
  project("q", q);
  project("k", kv);
  project("v", kv);
  if (family.norms) {
    to.exact(name + "attn_q_norm.weight", from + "q_norm.weight", {width});
    to.exact(name + "attn_k_norm.weight", from + "k_norm.weight", {width});
  }
  to.matrix(name + "attn_output.weight", from + "o_proj.weight", hidden, q);
}

void add_feed_forward(HfAssembly& to, const Family& family, const std::string& name,
                      const std::string& from) {
  const HfConfig& config = to.config();
  if (!family.moe) return add_gated(to, name + "ffn_", ".weight", from, config.get_uint("intermediate_size"));
  const uint64_t experts = expert_count(config);
  to.exact(name + "ffn_gate_inp.weight", from + "gate.weight", {experts, config.get_uint("hidden_size")});
  add_experts(to, name + "ffn_", from + "experts.", experts, config.get_uint("moe_intermediate_size"));
}

void add_expert_keys(HfAssembly& to) {
  to.key("expert_count", expert_count(to.config()));
  to.key("expert_used_count", to.config().get_uint("num_experts_per_tok"));
  to.key("expert_feed_forward_length", to.config().get_uint("moe_intermediate_size"));
}

void assemble(HfAssembly& to, const Family& family) {
  const HfConfig& config = to.config();
  refuse_switches(config, family);
  const uint64_t layers = config.get_uint("num_hidden_layers");
  const uint64_t heads = config.get_uint("num_attention_heads");
  const uint64_t kv_heads = config.uint_or("num_key_value_heads", heads, 1);
  const uint64_t width = head_dim(config), hidden = config.get_uint("hidden_size");
  const uint64_t q = checked_mul(heads, width, "query rows"), kv = checked_mul(kv_heads, width, "key rows");
  add_common_keys(to, layers, kv_heads);
  if (config.has("head_dim")) {
    to.key("attention.key_length", width);
    to.key("attention.value_length", width);
  }
  if (family.moe) add_expert_keys(to);
  add_rope(to, {}, width);
  add_embedding(to);
  for (uint64_t i = 0; i < layers; ++i) {
    const std::string name = fmt::format("blk.{}.", i), from = fmt::format("model.layers.{}.", i);
    to.exact(name + "attn_norm.weight", from + "input_layernorm.weight", {hidden});
    add_attention(to, family, name, from + "self_attn.", q, kv, width);
    to.exact(name + "ffn_norm.weight", from + "post_attention_layernorm.weight", {hidden});
    add_feed_forward(to, family, name, from + "mlp.");
  }
  add_output(to);
}

}  // namespace

void assemble_qwen2(HfAssembly& to) {
  assemble(to, {.bias = true, .norms = false, .moe = false});
}

void assemble_qwen3(HfAssembly& to) {
  assemble(to, {.bias = false, .norms = true, .moe = false});
}

void assemble_qwen3moe(HfAssembly& to) {
  assemble(to, {.bias = false, .norms = true, .moe = true});
}

}  // namespace tern
