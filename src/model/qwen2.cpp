// Qwen 2 and 2.5, R1-Distill-Qwen (GGUF architecture "qwen2"). Paper: Qwen2 (arXiv 2407.10671).
#include "model/decoder.h"
#include "model/keys.h"

namespace tern {

DecoderShape read_qwen2(const GgufFile& file) {
  const ArchKeys keys(file, "qwen2");
  keys.refuse({"attention.sliding_window"});
  DecoderShape shape = read_common(keys);
  shape.dense_layers = shape.layers;
  shape.dense_ff = keys.get("feed_forward_length", 1, kMostWidth);
  GqaShape attention = read_gqa(keys, shape.rope);
  attention.qkv_bias = true;
  shape.rope.halves = true;
  shape.attention = attention;
  return shape;
}

}  // namespace tern
