// DeepSeek-V2 and V3 checkpoints, and what shares their block.
#include <fmt/format.h>

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "model/hf_families.h"

namespace tern {
namespace {

struct Sizes {
  uint64_t hidden, heads, q_rank, kv_rank, nope, rope, v;
  uint64_t layers, dense_layers, drafts;
  uint64_t dense_ff, expert_ff, experts, shared;
};

/// How many layers have no experts: they come first. GLM names the kind of every layer instead.
uint64_t dense_layers(const HfConfig& config, uint64_t layers) {
  const std::vector<std::string> kinds = config.strings("mlp_layer_types");
  if (kinds.empty()) return std::min(layers, config.uint_or("first_k_dense_replace", 0));
  const auto sparse = std::ranges::find(kinds, "sparse");
  const auto all = [](auto begin, auto end, const char* kind) {
    return std::all_of(begin, end, [kind](const std::string& other) { return other == kind; });
  };
  if (kinds.size() != layers || !all(kinds.begin(), sparse, "dense") || !all(sparse, kinds.end(), "sparse"))
    config.refuse("mlp_layer_types", "tern runs dense layers, then sparse ones");
  return static_cast<uint64_t>(sparse - kinds.begin());
}

Sizes read_sizes(HfAssembly& from, bool v3) {
  const HfConfig& config = from.config();
  Sizes s{};
  s.hidden = config.get_uint("hidden_size");
  s.heads = config.get_uint("num_attention_heads");
  s.q_rank = config.uint_or("q_lora_rank", 0);
  s.kv_rank = config.get_uint("kv_lora_rank");
  s.nope = config.get_uint("qk_nope_head_dim");
  s.rope = config.get_uint("qk_rope_head_dim");
  s.v = config.get_uint("v_head_dim");
  s.layers = config.get_uint("num_hidden_layers");
  s.dense_ff = config.get_uint("intermediate_size");
  s.experts = config.uint_or("n_routed_experts", 0);
  s.dense_layers = s.experts > 0 ? dense_layers(config, s.layers) : s.layers;
  s.expert_ff = config.uint_or("moe_intermediate_size", s.dense_ff, 1);
  s.shared = config.uint_or("n_shared_experts", 0);
  // Exports of transformers leave these layers out and still count them.
  const bool has_drafts = from.tensors().has(fmt::format("model.layers.{}.eh_proj.weight", s.layers));
  s.drafts = v3 && has_drafts ? config.uint_or("num_nextn_predict_layers", 0) : 0;
  return s;
}

void refuse_switches(const HfConfig& config) {
  config.expect("attention_bias", false);
  config.expect("rope_interleave", true);
  config.expect_number("moe_layer_freq", 1);
  if (config.has("sliding_window")) config.refuse("sliding_window", "this family has none");
  for (const char* key : {"index_topk", "index_n_heads"}) {
    if (config.has(key)) config.refuse(key, "sparse attention would give other numbers");
  }
}

/// How the gate scores and chooses. V3 and V2 differ in their defaults.
void add_gate_keys(HfAssembly& to, const Sizes& s, bool v3) {
  const HfConfig& config = to.config();
  const char* scores = v3 ? "sigmoid" : "softmax";
  config.expect_text("scoring_func", scores);
  const std::string method = config.string_or("topk_method", v3 ? "noaux_tc" : "greedy");
  const bool grouped = v3 || method == "group_limited_greedy";
  if (v3 ? method != "noaux_tc" : !grouped && method != "greedy") {
    config.refuse("topk_method",
                  v3 ? "tern runs \"noaux_tc\" only" : "tern runs \"greedy\" and \"group_limited_greedy\"");
  }
  const double scale = config.float_or("routed_scaling_factor", v3 ? 2.5 : 1.0);
  const bool normalise = config.bool_or("norm_topk_prob", v3);
  if (!v3 && normalise)
    config.refuse("norm_topk_prob", "DeepSeek-V2 then leaves the scale out, GGUF does not");
  to.key("expert_count", s.experts);
  to.key("expert_used_count", config.get_uint("num_experts_per_tok"));
  to.key("expert_weights_scale", scale);
  if (normalise) to.key("expert_weights_norm", true);
  to.key("expert_gating_func", uint64_t{v3 ? 2u : 1u});
  if (!grouped || !config.has("n_group")) return;
  to.key("expert_group_count", config.get_uint("n_group"));
  to.key("expert_group_used_count", config.get_uint("topk_group"));
}

void add_keys(HfAssembly& to, const Sizes& s, bool v3) {
  add_common_keys(to, s.layers + s.drafts, 1);  // one latent for all heads
  add_rope(to, {.mscale = true}, s.rope);
  to.key("rope.dimension_count", s.rope);
  to.key("attention.q_lora_rank", s.q_rank);  // 0 where there is none: llama.cpp demands the key
  to.key("attention.kv_lora_rank", s.kv_rank);
  to.key("attention.key_length", s.kv_rank + s.rope);
  to.key("attention.value_length", s.kv_rank);
  to.key("attention.key_length_mla", s.nope + s.rope);
  to.key("attention.value_length_mla", s.v);
  to.key("leading_dense_block_count", s.dense_layers);
  to.key("expert_feed_forward_length", s.expert_ff);
  to.key("expert_shared_count", s.shared);
  if (s.experts > 0) add_gate_keys(to, s, v3);
  if (s.drafts > 0) to.key("nextn_predict_layers", s.drafts);
}

/// kv_b {heads (nope + v), rank} apart: the keys' half transposed to {nope, rank} a head, the values' as it
/// is.
void add_kv_b(HfAssembly& to, const Sizes& s, const std::string& name, const std::string& from) {
  const uint64_t nope = s.nope, rank = s.kv_rank, v = s.v, both = s.nope + s.v;
  const HfRows source = to.tensors().get(from, {checked_mul(s.heads, both, "kv_b rows"), rank});
  to.elements(name + "attn_k_b.weight", {nope, rank, s.heads}, source.type, source, [=](uint64_t i) {
    const uint64_t head = i / nope / rank;
    return (head * both + i % nope) * rank + i / nope % rank;
  });
  to.gather(name + "attn_v_b.weight", {rank, v, s.heads}, {source},
            [=](uint64_t row) { return std::pair<size_t, uint64_t>(0, row / v * both + nope + row % v); });
}

void add_attention(HfAssembly& to, const Sizes& s, const std::string& name, const std::string& from) {
  const uint64_t q_width = checked_mul(s.heads, s.nope + s.rope, "query rows");
  if (s.q_rank > 0) {
    to.matrix(name + "attn_q_a.weight", from + "q_a_proj.weight", s.q_rank, s.hidden);
    to.exact(name + "attn_q_a_norm.weight", from + "q_a_layernorm.weight", {s.q_rank});
    to.matrix(name + "attn_q_b.weight", from + "q_b_proj.weight", q_width, s.q_rank);
  } else {
    to.matrix(name + "attn_q.weight", from + "q_proj.weight", q_width, s.hidden);
  }
  to.matrix(name + "attn_kv_a_mqa.weight", from + "kv_a_proj_with_mqa.weight", s.kv_rank + s.rope, s.hidden);
  to.exact(name + "attn_kv_a_norm.weight", from + "kv_a_layernorm.weight", {s.kv_rank});
  add_kv_b(to, s, name, from + "kv_b_proj.weight");
  to.matrix(name + "attn_output.weight", from + "o_proj.weight", s.hidden,
            checked_mul(s.heads, s.v, "heads"));
}

void add_moe(HfAssembly& to, const Sizes& s, bool v3, const std::string& name, const std::string& from) {
  to.exact(name + "ffn_gate_inp.weight", from + "gate.weight", {s.experts, s.hidden});
  if (v3) to.exact(name + "exp_probs_b.bias", from + "gate.e_score_correction_bias", {s.experts});
  add_experts(to, name + "ffn_", from + "experts.", s.experts, s.expert_ff);
  if (s.shared > 0) {
    add_gated(to, name + "ffn_", "_shexp.weight", from + "shared_experts.",
              checked_mul(s.shared, s.expert_ff, "shared experts"));
  }
}

void add_layer(HfAssembly& to, const Sizes& s, bool v3, uint64_t layer) {
  const std::string name = fmt::format("blk.{}.", layer), from = fmt::format("model.layers.{}.", layer);
  to.exact(name + "attn_norm.weight", from + "input_layernorm.weight", {s.hidden});
  add_attention(to, s, name, from + "self_attn.");
  to.exact(name + "ffn_norm.weight", from + "post_attention_layernorm.weight", {s.hidden});
  if (layer < s.dense_layers) return add_gated(to, name + "ffn_", ".weight", from + "mlp.", s.dense_ff);
  add_moe(to, s, v3, name, from + "mlp.");
}

/// What a layer that predicts a further token has beside its block (DeepSeek-V3, section 2.2). Its own
/// embedding and head are copies that a checkpoint may leave out.
void add_draft(HfAssembly& to, const Sizes& s, uint64_t layer) {
  const std::string name = fmt::format("blk.{}.nextn.", layer), from = fmt::format("model.layers.{}.", layer);
  const uint64_t vocab = to.config().get_uint("vocab_size");
  to.matrix(name + "eh_proj.weight", from + "eh_proj.weight", s.hidden, 2 * s.hidden);
  to.exact(name + "enorm.weight", from + "enorm.weight", {s.hidden});
  to.exact(name + "hnorm.weight", from + "hnorm.weight", {s.hidden});
  if (to.tensors().has(from + "embed_tokens.weight"))
    to.matrix(name + "embed_tokens.weight", from + "embed_tokens.weight", vocab, s.hidden);
  if (to.tensors().has(from + "shared_head.head.weight"))
    to.matrix(name + "shared_head_head.weight", from + "shared_head.head.weight", vocab, s.hidden);
  if (to.tensors().has(from + "shared_head.norm.weight"))
    to.exact(name + "shared_head_norm.weight", from + "shared_head.norm.weight", {s.hidden});
}

void assemble(HfAssembly& to, bool v3) {
  refuse_switches(to.config());
  const Sizes s = read_sizes(to, v3);
  add_keys(to, s, v3);
  add_embedding(to);
  for (uint64_t i = 0; i < s.layers + s.drafts; ++i) {
    add_layer(to, s, v3, i);
    if (i >= s.layers) add_draft(to, s, i);
  }
  add_output(to);
}

}  // namespace

void assemble_deepseek_v2(HfAssembly& to) {
  assemble(to, false);
}

void assemble_deepseek_v3(HfAssembly& to) {
  assemble(to, true);
}

}  // namespace tern
