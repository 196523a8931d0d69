// gpt-oss checkpoints.
#include <fmt/format.h>

#include "base/checked.h"
#include "base/error.h"
#include "model/hf_families.h"

namespace tern {
namespace {

constexpr uint32_t mxfp4 = 39;             // ggml's number of the type
constexpr uint64_t block = 32;             // weights that share a scale
constexpr size_t block_bytes = block / 2;  // of a checkpoint's blocks, without their scale

struct Sizes {
  uint64_t layers, hidden, heads, kv_heads, width, experts, ff;
};

Sizes read_sizes(const HfConfig& config) {
  Sizes s{};
  s.layers = config.get_uint("num_hidden_layers");
  s.hidden = config.get_uint("hidden_size");
  s.heads = config.get_uint("num_attention_heads");
  s.kv_heads = config.get_uint("num_key_value_heads");
  s.width = config.get_uint("head_dim");
  s.experts =
      config.has("num_local_experts") ? config.get_uint("num_local_experts") : config.get_uint("num_experts");
  s.ff = config.get_uint("intermediate_size");
  return s;
}

void refuse_switches(const HfConfig& config) {
  config.expect("attention_bias", true);
  config.expect_number("swiglu_limit", 7.0);
  const std::vector<std::string> types = config.strings("layer_types");
  for (size_t i = 0; i < types.size(); ++i) {
    if (types[i] != (i % 2 == 0 ? "sliding_attention" : "full_attention"))
      config.refuse("layer_types", "tern runs sliding and full attention in turn");
  }
}

void add_keys(HfAssembly& to, const Sizes& s) {
  const HfConfig& config = to.config();
  add_common_keys(to, s.layers, s.kv_heads);
  to.key("attention.key_length", s.width);
  to.key("attention.value_length", s.width);
  to.key("attention.sliding_window", config.get_uint("sliding_window"));
  to.key("expert_count", s.experts);
  const char* used = config.has("num_experts_per_tok") ? "num_experts_per_tok" : "experts_per_token";
  to.key("expert_used_count", config.get_uint(used));
  to.key("expert_feed_forward_length", s.ff);
  add_rope(to, {.yarn_untruncated = true}, s.width);
}

void add_attention(HfAssembly& to, const Sizes& s, const std::string& name, const std::string& from) {
  const uint64_t q = checked_mul(s.heads, s.width, "query rows");
  const uint64_t kv = checked_mul(s.kv_heads, s.width, "key rows");
  const auto project = [&](const char* part, const char* source, uint64_t rows, uint64_t cols) {
    to.matrix(fmt::format("{}attn_{}.weight", name, part), fmt::format("{}{}_proj.weight", from, source),
              rows, cols);
    to.exact(fmt::format("{}attn_{}.bias", name, part), fmt::format("{}{}_proj.bias", from, source), {rows});
  };
  project("q", "q", q, s.hidden);
  project("k", "k", kv, s.hidden);
  project("v", "v", kv, s.hidden);
  project("output", "o", s.hidden, q);
  to.exact(name + "attn_sinks.weight", from + "sinks", {s.heads});
}

/// One block from the checkpoint's order (neighbours share a byte) to ggml's (element j beside j + 16).
void repack_block(const std::byte* from, std::byte scale, std::byte* to) {
  const auto element = [&](size_t i) {
    const auto pair = std::to_integer<unsigned>(from[i / 2]);
    return i % 2 == 0 ? pair & 15 : pair >> 4;
  };
  to[0] = scale;
  for (size_t j = 0; j < block / 2; ++j)
    to[1 + j] = static_cast<std::byte>(element(j) | element(j + block / 2) << 4);
}

/// Every `step`th of the source's rows from `first`: gate and up lie interleaved.
void add_mxfp4(HfAssembly& to, const std::string& name, const std::string& from, const Sizes& s,
               uint64_t rows, uint64_t cols, uint64_t first, uint64_t step) {
  if (cols % block != 0) {
    fail(ErrorKind::bad_input, "{}: tensor {}: expected rows of a multiple of {} weights, found {}",
         to.tensors().name(), from, block, cols);
  }
  const uint64_t blocks = cols / block, all = checked_mul(rows, step, "expert rows");
  const SafeTensor& quants = to.tensors().get_bytes(from + "_blocks", {s.experts, all, blocks, block_bytes});
  const SafeTensor& scales = to.tensors().get_bytes(from + "_scales", {s.experts, all, blocks});
  const HfRows pages{.data = quants.data, .mapping = to.tensors().mapping(from + "_blocks")};
  to.made(name, {cols, rows, s.experts}, mxfp4,
          [blocks, first, step, pages, quants = quants.data, scales = scales.data](std::span<std::byte> out) {
            for (uint64_t i = 0; i < out.size() / (1 + block_bytes); ++i) {
              const uint64_t at = (i / blocks * step + first) * blocks + i % blocks;
              repack_block(quants.data() + at * block_bytes, scales[at], out.data() + i * (1 + block_bytes));
            }
            pages.release();
          });
}

/// {experts, in, out} of the checkpoint, transposed; every `step`th output from `first`.
void add_transposed(HfAssembly& to, const std::string& name, const HfRows& source, const Sizes& s,
                    uint64_t rows, uint64_t cols, uint64_t first, uint64_t step) {
  to.elements(name, {cols, rows, s.experts}, source.type, source, [=](uint64_t i) {
    const uint64_t in_row = i / cols / rows * cols + i % cols, out_row = i / cols % rows;
    return in_row * rows * step + out_row * step + first;
  });
}

void add_bias(HfAssembly& to, const std::string& name, const std::string& from, const Sizes& s, uint64_t rows,
              uint64_t first, uint64_t step) {
  const HfRows source = to.tensors().get(from, {s.experts, checked_mul(rows, step, "expert biases")});
  to.elements(name, {rows, s.experts}, DType::f32, source, [=](uint64_t i) { return i * step + first; });
}

void add_experts_of(HfAssembly& to, const Sizes& s, const std::string& name, const std::string& from) {
  const std::string gate_up = from + "gate_up_proj", down = from + "down_proj";
  const uint64_t both = checked_mul(2, s.ff, "expert rows");
  if (to.tensors().has(gate_up + "_blocks")) {
    add_mxfp4(to, name + "ffn_gate_exps.weight", gate_up, s, s.ff, s.hidden, 0, 2);
    add_mxfp4(to, name + "ffn_up_exps.weight", gate_up, s, s.ff, s.hidden, 1, 2);
    add_mxfp4(to, name + "ffn_down_exps.weight", down, s, s.hidden, s.ff, 0, 1);
  } else {
    const HfRows pairs = to.tensors().get(gate_up, {s.experts, s.hidden, both});
    add_transposed(to, name + "ffn_gate_exps.weight", pairs, s, s.ff, s.hidden, 0, 2);
    add_transposed(to, name + "ffn_up_exps.weight", pairs, s, s.ff, s.hidden, 1, 2);
    const HfRows single = to.tensors().get(down, {s.experts, s.ff, s.hidden});
    add_transposed(to, name + "ffn_down_exps.weight", single, s, s.hidden, s.ff, 0, 1);
  }
  add_bias(to, name + "ffn_gate_exps.bias", gate_up + "_bias", s, s.ff, 0, 2);
  add_bias(to, name + "ffn_up_exps.bias", gate_up + "_bias", s, s.ff, 1, 2);
  add_bias(to, name + "ffn_down_exps.bias", down + "_bias", s, s.hidden, 0, 1);
}

}  // namespace

void assemble_gpt_oss(HfAssembly& to) {
  refuse_switches(to.config());
  const Sizes s = read_sizes(to.config());
  add_keys(to, s);
  add_embedding(to);
  for (uint64_t i = 0; i < s.layers; ++i) {
    const std::string name = fmt::format("blk.{}.", i), from = fmt::format("model.layers.{}.", i);
    to.exact(name + "attn_norm.weight", from + "input_layernorm.weight", {s.hidden});
    add_attention(to, s, name, from + "self_attn.");
    to.exact(name + "post_attention_norm.weight", from + "post_attention_layernorm.weight", {s.hidden});
    to.exact(name + "ffn_gate_inp.weight", from + "mlp.router.weight", {s.experts, s.hidden});
    to.exact(name + "ffn_gate_inp.bias", from + "mlp.router.bias", {s.experts});
    add_experts_of(to, s, name, from + "mlp.experts.");
  }
  add_output(to);
}

}  // namespace tern
