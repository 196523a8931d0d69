#include <ATen/ATen.h>

#include <map>

#include "base/error.h"
#include "files/gguf.h"
#include "quant/types.h"
#include "train/dense.h"
#include "train/export.h"
#include "train/tensors.h"

namespace tern::train {

namespace {

class GgufExport {
 public:
  GgufExport(const Network& network, DType type) : config_(network.config()), type_(type) {
    for (auto& [name, tensor] : network.named_tensors()) tensors_.emplace(name, tensor);
  }

  GgufWriter run(const Vocabulary& vocabulary, const std::string& name) {
    const bool llama = config_.family == Family::llama;
    file_.add_string("general.architecture", llama ? "llama" : "deepseek2");
    file_.add_string("general.name", name);
    llama ? llama_keys() : deepseek_keys();
    write_vocabulary(vocabulary, file_);
    matrix("token_embd", hf("model.embed_tokens.weight"));
    for (int64_t i = 0; i < config_.layers; ++i) llama ? llama_layer(i) : deepseek_layer(i);
    exact("output_norm.weight", hf("model.norm.weight"));
    if (!config_.tied) matrix("output", hf("lm_head.weight"));
    return std::move(file_);
  }

 private:
  void u32(const std::string& key, int64_t value) {
    file_.add_u32((config_.family == Family::llama ? "llama." : "deepseek2.") + key,
                  static_cast<uint32_t>(value));
  }
  void f32(const std::string& key, double value) {
    file_.add_f32((config_.family == Family::llama ? "llama." : "deepseek2.") + key,
                  static_cast<float>(value));
  }

  void common_keys() {
    u32("vocab_size", config_.vocab_size);
    u32("context_length", config_.context);
    u32("embedding_length", config_.hidden);
    u32("block_count", config_.layers);
    u32("feed_forward_length", config_.dense_ff);
    u32("attention.head_count", config_.heads);
    f32("attention.layer_norm_rms_epsilon", config_.norm_eps);
    f32("rope.freq_base", config_.rope_theta);
  }

  void deepseek_keys() {
    const ModelConfig& c = config_;
    common_keys();
    u32("attention.head_count_kv", 1);  // one latent for all heads
    u32("attention.q_lora_rank", c.query_rank);
    u32("attention.kv_lora_rank", c.latent_rank);
    u32("attention.key_length", c.latent_rank + c.rope_dim);
    u32("attention.value_length", c.latent_rank);
    u32("attention.key_length_mla", c.nope_dim + c.rope_dim);
    u32("attention.value_length_mla", c.value_dim);
    u32("rope.dimension_count", c.rope_dim);
    u32("leading_dense_block_count", c.dense_layers);
    u32("expert_count", c.experts);
    u32("expert_used_count", c.experts_used);
    u32("expert_shared_count", c.shared_experts);
    u32("expert_feed_forward_length", c.expert_ff);
    f32("expert_weights_scale", c.expert_scale);
    file_.add_bool("deepseek2.expert_weights_norm", true);
    u32("expert_gating_func", 2);  // sigmoid
  }

  void llama_keys() {
    common_keys();
    u32("attention.head_count_kv", config_.kv_heads);
    u32("attention.key_length", config_.head_dim);
    u32("attention.value_length", config_.head_dim);
    u32("rope.dimension_count", config_.head_dim);
  }

  const at::Tensor& hf(const std::string& name) const { return tensors_.at(name); }

  /// A tensor that stays F32, under its whole name.
  void exact(const std::string& name, const at::Tensor& tensor) { add(name, DType::f32, tensor); }

  void matrix(const std::string& name, const at::Tensor& tensor) {
    const bool whole_blocks = tensor.size(-1) % static_cast<int64_t>(traits(type_).block_size) == 0;
    add(name + ".weight", whole_blocks ? type_ : DType::f32, tensor);
  }

  void add(const std::string& name, DType type, const at::Tensor& tensor) {
    const std::vector<float> values = tensor_floats(tensor);
    std::vector<std::byte> data(row_bytes(type, values.size()));
    encode(type, values.data(), values.size(), data.data());
    std::vector<uint64_t> dims(tensor.sizes().rbegin(), tensor.sizes().rend());
    file_.add_tensor(name, type, std::move(dims), std::move(data));
  }

  void feed(const std::string& to, const std::string& from, const std::string& suffix) {
    for (const char* part : {"gate", "up", "down"}) {
      matrix(to + "ffn_" + part + suffix, hf(from + part + "_proj.weight"));
    }
  }

  void deepseek_layer(int64_t index) {
    const ModelConfig& c = config_;
    const std::string from = fmt::format("model.layers.{}.", index), to = fmt::format("blk.{}.", index);
    const std::string attention = from + "self_attn.";
    exact(to + "attn_norm.weight", hf(from + "input_layernorm.weight"));
    matrix(to + "attn_q_a", hf(attention + "q_a_proj.weight"));
    exact(to + "attn_q_a_norm.weight", hf(attention + "q_a_layernorm.weight"));
    matrix(to + "attn_q_b", hf(attention + "q_b_proj.weight"));
    matrix(to + "attn_kv_a_mqa", hf(attention + "kv_a_proj_with_mqa.weight"));
    exact(to + "attn_kv_a_norm.weight", hf(attention + "kv_a_layernorm.weight"));
    const at::Tensor up =
        hf(attention + "kv_b_proj.weight").unflatten(0, {c.heads, c.nope_dim + c.value_dim});
    matrix(to + "attn_k_b", up.narrow(1, 0, c.nope_dim).transpose(1, 2));
    matrix(to + "attn_v_b", up.narrow(1, c.nope_dim, c.value_dim));
    matrix(to + "attn_output", hf(attention + "o_proj.weight"));
    exact(to + "ffn_norm.weight", hf(from + "post_attention_layernorm.weight"));
    if (index < c.dense_layers) return feed(to, from + "mlp.", "");
    exact(to + "ffn_gate_inp.weight", hf(from + "mlp.gate.weight"));
    exact(to + "exp_probs_b.bias", hf(from + "mlp.gate.e_score_correction_bias"));
    feed(to, from + "mlp.shared_experts.", "_shexp");
    for (const char* part : {"gate", "up", "down"}) {
      std::vector<at::Tensor> experts;
      for (int64_t e = 0; e < c.experts; ++e) {
        experts.push_back(hf(fmt::format("{}mlp.experts.{}.{}_proj.weight", from, e, part)));
      }
      matrix(to + "ffn_" + part + "_exps", at::stack(experts));
    }
  }

  void llama_layer(int64_t index) {
    const std::string from = fmt::format("model.layers.{}.", index), to = fmt::format("blk.{}.", index);
    exact(to + "attn_norm.weight", hf(from + "input_layernorm.weight"));
    matrix(to + "attn_q", to_neighbours(hf(from + "self_attn.q_proj.weight"), config_.heads));
    matrix(to + "attn_k", to_neighbours(hf(from + "self_attn.k_proj.weight"), config_.kv_heads));
    matrix(to + "attn_v", hf(from + "self_attn.v_proj.weight"));
    matrix(to + "attn_output", hf(from + "self_attn.o_proj.weight"));
    exact(to + "ffn_norm.weight", hf(from + "post_attention_layernorm.weight"));
    feed(to, from + "mlp.", "");
  }

  ModelConfig config_;
  DType type_;
  std::map<std::string, at::Tensor> tensors_;
  GgufWriter file_;
};

}  // namespace

void export_gguf(const Network& network, const Vocabulary& vocabulary, const Config& config,
                 const std::string& type, const std::string& path) {
  const auto found = find_dtype(std::string_view(type));
  if (!found) fail(ErrorKind::bad_input, "export_type = '{}': expected F32, F16, BF16 or Q8_0", type);
  GgufExport(network, found->type).run(vocabulary, config.name).write(path);
}

}  // namespace tern::train
