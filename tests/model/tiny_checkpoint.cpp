#include "tests/model/tiny_checkpoint.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <memory>

#include "base/atomic_file.h"
#include "files/safetensors.h"
#include "model/hf_folder.h"

namespace tern {
namespace {

DType type_of(const std::string& dtype) {
  return dtype == "F32" ? DType::f32 : dtype == "F16" ? DType::f16 : DType::bf16;
}

SafetensorsWriter writer_of(const std::map<std::string, CheckpointTensor>& tensors, int shard, int shards) {
  SafetensorsWriter writer;
  int i = 0;
  for (const auto& [name, tensor] : tensors) {
    if (i++ % shards == shard) writer.add(name, tensor.dtype, tensor.shape, tensor.data);
  }
  return writer;
}

uint64_t number(const TinyCheckpoint& checkpoint, const char* key) {
  return checkpoint.config.at(key).get<uint64_t>();
}

void add_embeddings(TinyCheckpoint& to) {
  const uint64_t hidden = number(to, "hidden_size"), vocab = number(to, "vocab_size");
  to.add("model.embed_tokens.weight", {vocab, hidden});
  to.add("model.norm.weight", {hidden});
  if (!to.config.value("tie_word_embeddings", false)) to.add("lm_head.weight", {vocab, hidden});
}

void add_gated(TinyCheckpoint& to, const std::string& prefix, uint64_t ff) {
  const uint64_t hidden = number(to, "hidden_size");
  to.add(prefix + "gate_proj.weight", {ff, hidden});
  to.add(prefix + "up_proj.weight", {ff, hidden});
  to.add(prefix + "down_proj.weight", {hidden, ff});
}

void add_norms(TinyCheckpoint& to, const std::string& layer) {
  to.add(layer + "input_layernorm.weight", {number(to, "hidden_size")});
  to.add(layer + "post_attention_layernorm.weight", {number(to, "hidden_size")});
}

uint64_t head_width(const TinyCheckpoint& c) {
  return c.config.value("head_dim", number(c, "hidden_size") / number(c, "num_attention_heads"));
}

/// What a family's attention has beside its matrices.
struct Extras {
  bool bias = false, output_bias = false, norms = false;
};

void add_attention(TinyCheckpoint& to, const std::string& attention, const Extras& extras) {
  const uint64_t hidden = number(to, "hidden_size"), width = head_width(to);
  const uint64_t q = number(to, "num_attention_heads") * width,
                 kv = number(to, "num_key_value_heads") * width;
  const std::pair<const char*, uint64_t> projections[] = {{"q", q}, {"k", kv}, {"v", kv}};
  for (const auto& [part, rows] : projections) {
    to.add(attention + part + "_proj.weight", {rows, hidden});
    if (extras.bias) to.add(attention + part + "_proj.bias", {rows});
  }
  to.add(attention + "o_proj.weight", {hidden, q});
  if (extras.output_bias) to.add(attention + "o_proj.bias", {hidden});
  if (!extras.norms) return;
  to.add(attention + "q_norm.weight", {width});
  to.add(attention + "k_norm.weight", {width});
}

TinyCheckpoint llama_like(const char* architecture) {
  TinyCheckpoint c;
  c.config = {{"architectures", {architecture}},
              {"hidden_size", 16},
              {"intermediate_size", 24},
              {"num_hidden_layers", 2},
              {"num_attention_heads", 4},
              {"num_key_value_heads", 2},
              {"vocab_size", 20},
              {"rms_norm_eps", 1e-5},
              {"rope_theta", 500000.0},
              {"max_position_embeddings", 64},
              {"hidden_act", "silu"}};
  return c;
}

/// Two layers, whose feed-forward nets `add_feed_forward` adds under a prefix.
template <typename AddFeedForward>
void fill(TinyCheckpoint& c, const Extras& extras, AddFeedForward add_feed_forward) {
  add_embeddings(c);
  for (int i = 0; i < 2; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    add_norms(c, layer);
    add_attention(c, layer + "self_attn.", extras);
    add_feed_forward(c, layer + "mlp.");
  }
}

void fill_dense(TinyCheckpoint& c, const Extras& extras) {
  fill(c, extras, [](TinyCheckpoint& to, const std::string& mlp) {
    add_gated(to, mlp, number(to, "intermediate_size"));
  });
}

void add_experts(TinyCheckpoint& c, const std::string& mlp, int experts, uint64_t ff) {
  for (int e = 0; e < experts; ++e) add_gated(c, fmt::format("{}experts.{}.", mlp, e), ff);
}

void add_gpt_oss_experts(TinyCheckpoint& c, const std::string& prefix, bool blocks) {
  const uint64_t experts = 3, hidden = 64, ff = 32;
  c.add(prefix + "gate_up_proj_bias", {experts, 2 * ff}, "BF16");
  c.add(prefix + "down_proj_bias", {experts, hidden}, "BF16");
  if (!blocks) {
    c.add(prefix + "gate_up_proj", {experts, hidden, 2 * ff}, "BF16");
    c.add(prefix + "down_proj", {experts, ff, hidden}, "BF16");
    return;
  }
  const auto add_blocks = [&](const std::string& name, uint64_t rows, uint64_t cols) {
    std::vector<std::byte> quants(experts * rows * cols / 2), scales(experts * rows * cols / 32);
    for (auto& q : quants) q = static_cast<std::byte>(c.rng.below(256));
    for (auto& s : scales) s = static_cast<std::byte>(120 + c.rng.below(8));
    c.add_bytes(name + "_blocks", {experts, rows, cols / 32, 16}, "U8", std::move(quants));
    c.add_bytes(name + "_scales", {experts, rows, cols / 32}, "U8", std::move(scales));
  };
  add_blocks(prefix + "gate_up_proj", 2 * ff, hidden);
  add_blocks(prefix + "down_proj", hidden, ff);
}

void add_mla(TinyCheckpoint& c, const std::string& attention, bool query_rank) {
  const uint64_t heads = 3, hidden = 32, q_rank = 12, kv_rank = 16, nope = 8, rope = 4, v = 6;
  if (query_rank) {
    c.add(attention + "q_a_proj.weight", {q_rank, hidden});
    c.add(attention + "q_a_layernorm.weight", {q_rank});
    c.add(attention + "q_b_proj.weight", {heads * (nope + rope), q_rank});
  } else {
    c.add(attention + "q_proj.weight", {heads * (nope + rope), hidden});
  }
  c.add(attention + "kv_a_proj_with_mqa.weight", {kv_rank + rope, hidden});
  c.add(attention + "kv_a_layernorm.weight", {kv_rank});
  c.add(attention + "kv_b_proj.weight", {heads * (nope + v), kv_rank});
  c.add(attention + "o_proj.weight", {hidden, heads * v});
}

void add_moe(TinyCheckpoint& c, const std::string& mlp, bool bias) {
  c.add(mlp + "gate.weight", {4, 32});
  if (bias) c.add(mlp + "gate.e_score_correction_bias", {4});
  add_experts(c, mlp, 4, 10);
  add_gated(c, mlp + "shared_experts.", 20);
}

TinyCheckpoint tiny_deepseek(bool v3) {
  TinyCheckpoint c = llama_like(v3 ? "DeepseekV3ForCausalLM" : "DeepseekV2ForCausalLM");
  c.config.update({{"hidden_size", 32},
                   {"num_attention_heads", 3},
                   {"num_key_value_heads", 3},
                   {"kv_lora_rank", 16},
                   {"qk_nope_head_dim", 8},
                   {"qk_rope_head_dim", 4},
                   {"v_head_dim", 6},
                   {"first_k_dense_replace", 1},
                   {"n_routed_experts", 4},
                   {"n_shared_experts", 2},
                   {"num_experts_per_tok", 2},
                   {"moe_intermediate_size", 10},
                   {"n_group", 2},
                   {"topk_group", 1},
                   {"routed_scaling_factor", 2.5},
                   {"norm_topk_prob", v3},
                   {"moe_layer_freq", 1},
                   {"attention_bias", false}});
  c.config["q_lora_rank"] = v3 ? nlohmann::json(12) : nlohmann::json(nullptr);
  c.config["topk_method"] = v3 ? "noaux_tc" : "group_limited_greedy";
  c.config["scoring_func"] = v3 ? "sigmoid" : "softmax";
  if (v3) c.config["num_nextn_predict_layers"] = 1;
  add_embeddings(c);
  for (int i = 0; i < (v3 ? 3 : 2); ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    add_norms(c, layer);
    add_mla(c, layer + "self_attn.", v3);
    i == 0 ? add_gated(c, layer + "mlp.", 24) : add_moe(c, layer + "mlp.", v3);
  }
  return c;
}

}  // namespace

void TinyCheckpoint::add(const std::string& name, std::vector<uint64_t> shape, const std::string& dtype) {
  uint64_t n = 1;
  for (const uint64_t dim : shape) n *= dim;
  std::vector<float> random(n);
  for (float& value : random) value = static_cast<float>(rng.uniform() - 0.5);
  std::vector<std::byte> data(row_bytes(type_of(dtype), n));
  encode(type_of(dtype), random.data(), n, data.data());
  add_bytes(name, std::move(shape), dtype, std::move(data));
}

void TinyCheckpoint::add(const std::string& name, std::vector<uint64_t> shape,
                         const std::vector<float>& floats) {
  const auto* bytes = reinterpret_cast<const std::byte*>(floats.data());
  add_bytes(name, std::move(shape), "F32", {bytes, bytes + floats.size() * sizeof(float)});
}

void TinyCheckpoint::add_bytes(const std::string& name, std::vector<uint64_t> shape, const std::string& dtype,
                               std::vector<std::byte> data) {
  tensors[name] = {dtype, std::move(shape), std::move(data)};
}

std::vector<float> TinyCheckpoint::values(const std::string& name) const {
  const CheckpointTensor& tensor = tensors.at(name);
  const DType type = type_of(tensor.dtype);
  std::vector<float> floats(tensor.data.size() / traits(type).block_bytes);
  decode(type, tensor.data.data(), floats.size(), floats.data());
  return floats;
}

GgufFile TinyCheckpoint::assemble() const {
  struct Memory {
    std::vector<std::byte> bytes;
    std::vector<SafetensorsFile> files;
  };
  auto memory = std::make_shared<Memory>();
  memory->bytes = writer_of(tensors, 0, 1).bytes();
  memory->files.push_back(SafetensorsFile::parse(memory->bytes, "tiny"));
  return assemble_hf("tiny", HfConfig::parse(config.dump(), "tiny/config.json"), memory->files, memory);
}

void TinyCheckpoint::write(const std::string& folder, int shards) const {
  std::filesystem::create_directories(folder);
  write_file(folder + "/config.json", config.dump());
  if (shards == 1) return writer_of(tensors, 0, 1).write(folder + "/model.safetensors");
  nlohmann::json map;
  int i = 0;
  const auto shard_name = [&](int shard) {
    return fmt::format("model-{:05}-of-{:05}.safetensors", shard + 1, shards);
  };
  for (const auto& [name, tensor] : tensors) map[name] = shard_name(i++ % shards);
  write_file(folder + "/model.safetensors.index.json",
             nlohmann::json{{"metadata", {{"total_size", 1}}}, {"weight_map", map}}.dump());
  for (int s = 0; s < shards; ++s) writer_of(tensors, s, shards).write(folder + "/" + shard_name(s));
}

std::vector<float> floats_of(const GgufTensor& tensor) {
  std::vector<float> values(tensor.elements());
  decode(tensor.dtype(), tensor.load().data(), values.size(), values.data());
  return values;
}

TinyCheckpoint tiny_llama() {
  TinyCheckpoint c = llama_like("LlamaForCausalLM");
  fill_dense(c, {});
  return c;
}

TinyCheckpoint tiny_mistral() {
  TinyCheckpoint c = llama_like("MistralForCausalLM");
  c.config["head_dim"] = 6;
  c.config["sliding_window"] = nullptr;
  fill_dense(c, {});
  return c;
}

TinyCheckpoint tiny_qwen2() {
  TinyCheckpoint c = llama_like("Qwen2ForCausalLM");
  c.config["tie_word_embeddings"] = true;
  fill_dense(c, {.bias = true});
  return c;
}

TinyCheckpoint tiny_qwen3() {
  TinyCheckpoint c = llama_like("Qwen3ForCausalLM");
  c.config["head_dim"] = 6;
  fill_dense(c, {.norms = true});
  return c;
}

TinyCheckpoint tiny_qwen3moe() {
  TinyCheckpoint c = llama_like("Qwen3MoeForCausalLM");
  c.config.update({{"head_dim", 6},
                   {"num_experts", 3},
                   {"num_experts_per_tok", 2},
                   {"moe_intermediate_size", 8},
                   {"norm_topk_prob", true},
                   {"decoder_sparse_step", 1},
                   {"mlp_only_layers", nlohmann::json::array()}});
  fill(c, {.norms = true}, [](TinyCheckpoint& to, const std::string& mlp) {
    to.add(mlp + "gate.weight", {3, 16});
    add_experts(to, mlp, 3, 8);
  });
  return c;
}

TinyCheckpoint tiny_gpt_oss(bool blocks) {
  TinyCheckpoint c = llama_like("GptOssForCausalLM");
  c.config.update({{"hidden_size", 64},
                   {"intermediate_size", 32},
                   {"head_dim", 8},
                   {"num_local_experts", 3},
                   {"num_experts_per_tok", 2},
                   {"sliding_window", 16},
                   {"swiglu_limit", 7.0},
                   {"attention_bias", true},
                   {"layer_types", {"sliding_attention", "full_attention"}}});
  c.config["rope_scaling"] = {{"rope_type", "yarn"}, {"factor", 32.0},
                              {"beta_fast", 32.0},   {"beta_slow", 1.0},
                              {"truncate", false},   {"original_max_position_embeddings", 4096}};
  if (blocks) c.config["quantization_config"] = {{"quant_method", "mxfp4"}};
  fill(c, {.bias = true, .output_bias = true}, [blocks](TinyCheckpoint& to, const std::string& mlp) {
    to.add(mlp + "router.weight", {3, 64}, "BF16");
    to.add(mlp + "router.bias", {3}, "BF16");
    add_gpt_oss_experts(to, mlp + "experts.", blocks);
  });
  for (int i = 0; i < 2; ++i) c.add(fmt::format("model.layers.{}.self_attn.sinks", i), {4}, "BF16");
  return c;
}

TinyCheckpoint tiny_deepseek_v3() {
  TinyCheckpoint c = tiny_deepseek(true);
  const std::string layer = "model.layers.2.";
  c.add(layer + "eh_proj.weight", {32, 64});
  c.add(layer + "enorm.weight", {32});
  c.add(layer + "hnorm.weight", {32});
  c.add(layer + "embed_tokens.weight", {20, 32});
  c.add(layer + "shared_head.head.weight", {20, 32});
  c.add(layer + "shared_head.norm.weight", {32});
  return c;
}

TinyCheckpoint tiny_deepseek_v2() {
  return tiny_deepseek(false);
}

}  // namespace tern
