// DeepSeek-V2, V3, R1 and what shares their block (GGUF architecture "deepseek2"): Multi-head Latent
// Attention and Mixture of Experts. Papers: DeepSeek-V2 (arXiv 2405.04434), DeepSeek-V3 (arXiv 2412.19437).
#include <cmath>

#include "base/error.h"
#include "model/decoder.h"
#include "model/keys.h"

namespace tern {

namespace {

MlaShape read_attention(const ArchKeys& keys, const RopeParams& rope) {
  MlaShape shape;
  shape.heads = keys.get("attention.head_count", 1, kMostHeads);
  shape.q_rank = keys.get_or("attention.q_lora_rank", 0, 0, kMostWidth);
  shape.kv_rank = keys.get("attention.kv_lora_rank", 1, kMostWidth);
  shape.rope = rope.dimension;
  // Newer files describe the cached row under key_length and the heads under key_length_mla, older ones the
  // heads alone.
  const bool mla_keys = keys.has("attention.key_length_mla");
  const char* key_length = mla_keys ? "attention.key_length_mla" : "attention.key_length";
  const char* value_length = mla_keys ? "attention.value_length_mla" : "attention.value_length";
  shape.nope = keys.get(key_length, rope.dimension + 1, kMostHead + rope.dimension) - rope.dimension;
  shape.v = keys.get(value_length, 1, kMostHead);
  const int kv_heads = keys.get_or("attention.head_count_kv", shape.heads, 1, kMostHeads);
  if (kv_heads != 1 && kv_heads != shape.heads) {
    fail(ErrorKind::unsupported, "{}: {}: expected 1 or {}, found {}", keys.file().name(),
         keys.full("attention.head_count_kv"), shape.heads, kv_heads);
  }
  shape.scale = static_cast<float>(rope_softmax_factor(rope) / std::sqrt(static_cast<double>(shape.qk())));
  return shape;
}

}  // namespace

DecoderShape read_deepseek2(const GgufFile& file) {
  const ArchKeys keys(file, "deepseek2");
  keys.refuse({"attention.sliding_window"});
  DecoderShape shape = read_common(keys);
  shape.draft_layers = keys.get_or("nextn_predict_layers", 0, 0, shape.layers - 1);
  shape.layers -= shape.draft_layers;
  shape.dense_layers = keys.get_or("leading_dense_block_count", 0, 0, shape.layers);
  shape.rope = read_rope(file, "deepseek2");
  shape.attention = read_attention(keys, shape.rope);
  if (shape.dense_layers > 0) shape.dense_ff = keys.get("feed_forward_length", 1, kMostWidth);
  if (shape.dense_layers < shape.layers + shape.draft_layers) {
    shape.router = read_router(file, "deepseek2");
    shape.expert_ff = keys.get("expert_feed_forward_length", 1, kMostWidth);
    shape.shared_experts = keys.get_or("expert_shared_count", 0, 0, 1024);
  }
  return shape;
}

}  // namespace tern
