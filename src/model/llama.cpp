// Llama 2 and 3, Mistral, R1-Distill-Llama (GGUF architecture "llama"). Papers: Llama 2 (arXiv 2307.09288), Llama 3
// (arXiv 2407.21783). The rows of q and k stand in the file so that interleaved pairs rotate.
#include "base/error.h"
#include "model/decoder.h"
#include "model/keys.h"

namespace tern {

DecoderShape read_llama(const GgufFile& file) {
  const ArchKeys keys(file, "llama");
  keys.refuse({"attention.sliding_window"});
  if (keys.get_or("expert_count", 0, 0, 65536) > 0) {
    fail(ErrorKind::unsupported, "{}: llama.expert_count: Mixtral's experts are not supported", file.name());
  }
  DecoderShape shape = read_common(keys);
  shape.dense_layers = shape.layers;
  shape.dense_ff = keys.get("feed_forward_length", 1, kMostWidth);
  GqaShape attention = read_gqa(keys, shape.rope);
  attention.qkv_bias = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  attention.out_bias = file.find_tensor("blk.0.attn_output.bias") != nullptr;
  shape.attention = attention;
  return shape;
}

}  // namespace tern
