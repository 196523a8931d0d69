// gpt-oss 20B and 120B (GGUF architecture "gpt-oss"). Model card: arXiv 2508.10925. Every second layer, the first
// included, sees a sliding window; each head has a sink; everything has its bias; experts are clamped.
#include "model/decoder.h"
#include "model/keys.h"

namespace tern {

DecoderShape read_gpt_oss(const GgufFile& file) {
  const ArchKeys keys(file, "gpt-oss");
  DecoderShape shape = read_common(keys);
  GqaShape attention = read_gqa(keys, shape.rope);
  attention.qkv_bias = attention.out_bias = attention.sinks = true;
  const int window = keys.get("attention.sliding_window", 1, kMostContext);
  for (int i = 0; i < shape.layers; ++i) attention.windows.push_back(i % 2 == 0 ? window : 0);
  shape.rope.halves = true;
  shape.rope.scaling.whole_ramp = false;
  shape.attention = attention;
  shape.expert_ff = keys.get("expert_feed_forward_length", 1, kMostWidth);
  shape.router = read_router(file, "gpt-oss", {.score = RouterParams::Score::chosen_softmax});
  shape.router_bias = shape.expert_bias = true;
  shape.gating = Gating::clamped_silu;
  shape.ffn_norm = "post_attention_norm";
  return shape;
}

}  // namespace tern
