// Llama and Mistral checkpoints.
#include <fmt/format.h>

#include "base/checked.h"
#include "base/error.h"
#include "model/hf_families.h"

namespace tern {
namespace {

/// Checkpoints rotate element i of a head with element i + width / 2; the `llama` architecture rotates
/// neighbours, so those two rows are put side by side.
void add_rotated(HfAssembly& to, const std::string& name, const std::string& from, uint64_t heads,
                 uint64_t width, uint64_t hidden) {
  const uint64_t rows = checked_mul(heads, width, "head rows");
  to.gather(name, {hidden, rows}, {to.tensors().get(from, {rows, hidden})}, [width](uint64_t row) {
    const uint64_t in_head = row % width;
    return std::pair<size_t, uint64_t>(0, row - in_head + in_head % 2 * (width / 2) + in_head / 2);
  });
}

void add_layer(HfAssembly& to, uint64_t layer, uint64_t heads, uint64_t kv_heads, uint64_t width) {
  const uint64_t hidden = to.config().get_uint("hidden_size");
  const std::string name = fmt::format("blk.{}.", layer), from = fmt::format("model.layers.{}.", layer);
  const std::string attention = from + "self_attn.";
  const uint64_t q = checked_mul(heads, width, "query rows"), kv = checked_mul(kv_heads, width, "key rows");
  to.exact(name + "attn_norm.weight", from + "input_layernorm.weight", {hidden});
  add_rotated(to, name + "attn_q.weight", attention + "q_proj.weight", heads, width, hidden);
  add_rotated(to, name + "attn_k.weight", attention + "k_proj.weight", kv_heads, width, hidden);
  to.matrix(name + "attn_v.weight", attention + "v_proj.weight", kv, hidden);
  to.matrix(name + "attn_output.weight", attention + "o_proj.weight", hidden, q);
  to.exact(name + "ffn_norm.weight", from + "post_attention_layernorm.weight", {hidden});
  add_gated(to, name + "ffn_", ".weight", from + "mlp.", to.config().get_uint("intermediate_size"));
}

}  // namespace

void assemble_llama(HfAssembly& to) {
  const HfConfig& config = to.config();
  config.expect("attention_bias", false);
  config.expect("mlp_bias", false);
  config.expect_number("pretraining_tp", 1);
  const uint64_t layers = config.get_uint("num_hidden_layers");
  const uint64_t heads = config.get_uint("num_attention_heads");
  const uint64_t kv_heads = config.uint_or("num_key_value_heads", heads, 1);
  const uint64_t width = head_dim(config);
  if (width % 2 != 0) {
    fail(ErrorKind::bad_input, "{}: head_dim: expected an even number, found {}", config.name(), width);
  }
  add_common_keys(to, layers, kv_heads);
  to.key("attention.key_length", width);
  to.key("attention.value_length", width);
  to.key("rope.dimension_count", width);
  add_embedding(to);
  for (uint64_t i = 0; i < layers; ++i) add_layer(to, i, heads, kv_heads, width);
  add_output(to);
  add_rope(to, {.llama3 = true}, width);  // last: after the shapes held head_dim to what the tensors have
}

void assemble_mistral(HfAssembly& to) {
  if (to.config().has("sliding_window"))
    to.config().refuse("sliding_window", "the llama architecture looks at the whole context");
  assemble_llama(to);
}

}  // namespace tern
