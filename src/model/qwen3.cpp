// Qwen 3, dense and sparse (GGUF architectures "qwen3" and "qwen3moe"). Paper: Qwen3 (arXiv 2505.09388).
#include "model/decoder.h"
#include "model/keys.h"

namespace tern {

namespace {

DecoderShape read_attention(const ArchKeys& keys) {
  keys.refuse({"attention.sliding_window"});
  DecoderShape shape = read_common(keys);
  GqaShape attention = read_gqa(keys, shape.rope);
  attention.qk_norm = true;
  shape.rope.halves = true;
  shape.attention = attention;
  return shape;
}

}  // namespace

DecoderShape read_qwen3(const GgufFile& file) {
  const ArchKeys keys(file, "qwen3");
  DecoderShape shape = read_attention(keys);
  shape.dense_layers = shape.layers;
  shape.dense_ff = keys.get("feed_forward_length", 1, kMostWidth);
  return shape;
}

DecoderShape read_qwen3moe(const GgufFile& file) {
  const ArchKeys keys(file, "qwen3moe");
  DecoderShape shape = read_attention(keys);
  shape.expert_ff = keys.get("expert_feed_forward_length", 1, kMostWidth);
  shape.router = read_router(file, "qwen3moe", {.normalise = true});
  return shape;
}

}  // namespace tern
