#include <cmath>

#include "base/checked.h"
#include "model/deepseek2.h"

namespace tern {

namespace {

/// Reads `deepseek2.KEY` within bounds.
class Keys {
 public:
  explicit Keys(const GgufFile& file) : file_(file) {}

  int get(const char* key, uint64_t least, uint64_t most) const {
    return bounded(key, file_.get_uint(full(key)), least, most);
  }
  int get_or(const char* key, uint64_t fallback, uint64_t least, uint64_t most) const {
    return bounded(key, file_.uint_or(full(key), fallback), least, most);
  }
  bool has(const char* key) const { return file_.find(full(key)) != nullptr; }
  static std::string full(const char* key) { return std::string("deepseek2.") + key; }

 private:
  int bounded(const char* key, uint64_t value, uint64_t least, uint64_t most) const {
    if (value < least || value > most) {
      fail(ErrorKind::bad_input, "{}: deepseek2.{}: expected {} to {}, found {}", file_.name(), key, least,
           most, value);
    }
    return static_cast<int>(value);
  }
  const GgufFile& file_;
};

constexpr uint64_t kMostWidth = 1 << 20;  // hidden sizes and vocabularies
constexpr uint64_t kMostHead = 8192;      // dimensions of one head
constexpr uint64_t kMostHeads = 4096;
constexpr uint64_t kMostLayers = 4096;
constexpr uint64_t kMostContext = 1 << 30;

/// Switches of other models that share the architecture's name; running without them would give other
/// numbers.
void refuse_unknown_switches(const GgufFile& file) {
  for (const char* key :
       {"attention.scale", "attention.sliding_window", "attention.temperature_length",
        "attention.temperature_scale", "attn_logit_softcapping", "embedding_scale", "expert_group_scale",
        "final_logit_softcapping", "interleave_moe_layer_step", "logit_scale", "moe_every_n_layers",
        "residual_scale", "swiglu_clamp_exp", "swiglu_clamp_shexp"}) {
    if (file.find(Keys::full(key))) {
      fail(ErrorKind::unsupported, "{}: deepseek2.{} is not supported", file.name(), key);
    }
  }
}

MlaShape read_attention(const GgufFile& file, const RopeParams& rope) {
  const Keys keys(file);
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
    fail(ErrorKind::unsupported, "{}: deepseek2.attention.head_count_kv: expected 1 or {}, found {}",
         file.name(), shape.heads, kv_heads);
  }
  shape.scale = static_cast<float>(rope_softmax_factor(rope) / std::sqrt(static_cast<double>(shape.qk())));
  return shape;
}

int read_vocab(const GgufFile& file) {
  const GgufTensor& embedding = file.tensor("token_embd.weight");
  const uint64_t vocab = embedding.dims.size() == 2 ? embedding.dims[1] : 1;
  if (vocab > kMostWidth * 4) {
    fail(ErrorKind::limit, "{}: tensor token_embd.weight: a vocabulary of {} is more than tern takes",
         file.name(), vocab);
  }
  return static_cast<int>(vocab);
}

}  // namespace

Deepseek2Shape read_deepseek2_shape(const GgufFile& file) {
  refuse_unknown_switches(file);
  const Keys keys(file);
  Deepseek2Shape shape;
  shape.vocab = read_vocab(file);
  shape.hidden = keys.get("embedding_length", 1, kMostWidth);
  shape.context = keys.get("context_length", 1, kMostContext);
  const int blocks = keys.get("block_count", 1, kMostLayers);
  shape.draft_layers = keys.get_or("nextn_predict_layers", 0, 0, blocks - 1);
  shape.layers = blocks - shape.draft_layers;
  shape.dense_layers = keys.get_or("leading_dense_block_count", 0, 0, shape.layers);
  shape.eps = static_cast<float>(file.get_float(Keys::full("attention.layer_norm_rms_epsilon")));
  if (!std::isfinite(shape.eps) || shape.eps < 0) {
    fail(ErrorKind::bad_input, "{}: deepseek2.attention.layer_norm_rms_epsilon: expected 0 or more, found {}",
         file.name(), shape.eps);
  }
  shape.rope = read_rope(file, "deepseek2");
  shape.attention = read_attention(file, shape.rope);
  if (shape.dense_layers > 0) shape.dense_ff = keys.get("feed_forward_length", 1, kMostWidth);
  if (shape.dense_layers < shape.layers) {
    shape.router = read_router(file, "deepseek2");
    shape.expert_ff = keys.get("expert_feed_forward_length", 1, kMostWidth);
    shape.shared_experts = keys.get_or("expert_shared_count", 0, 0, 1024);
  }
  return shape;
}

uint64_t active_weights(const Deepseek2Shape& shape, uint64_t weights, bool tied) {
  const uint64_t expert = 3ull * shape.hidden * shape.expert_ff;
  const uint64_t idle =
      expert * (shape.router.experts - shape.router.used) * (shape.layers - shape.dense_layers);
  const uint64_t embedding = tied ? 0 : 1ull * shape.hidden * shape.vocab;
  return weights - idle - embedding;
}

}  // namespace tern
