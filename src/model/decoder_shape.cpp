// What the families' shapes have in common, and the table of families.
#include <fmt/ranges.h>

#include <cmath>

#include "base/error.h"
#include "model/decoder.h"
#include "model/keys.h"

namespace tern {

namespace {

constexpr Family kFamilies[] = {
    {"deepseek2", read_deepseek2}, {"llama", read_llama},       {"qwen2", read_qwen2},
    {"qwen3", read_qwen3},         {"qwen3moe", read_qwen3moe}, {"gpt-oss", read_gpt_oss},
};

/// Llama 3.1's divisors of the frequencies.
std::vector<float> read_divisors(const GgufFile& file, int dimension) {
  const GgufTensor* tensor = file.find_tensor("rope_freqs.weight");
  if (!tensor) return {};
  const auto pairs = static_cast<uint64_t>(dimension) / 2;
  if (tensor->dtype() != DType::f32 || tensor->elements() != pairs) {
    fail(ErrorKind::bad_input, "{}: tensor rope_freqs.weight: expected {} F32 numbers, found {} of {}",
         file.name(), pairs, tensor->elements(), ggml_type_name(tensor->ggml_type));
  }
  std::vector<float> divisors(pairs);
  decode(DType::f32, tensor->load().data(), pairs, divisors.data());
  for (const float divisor : divisors) {
    if (std::isfinite(divisor) && divisor > 0) continue;
    fail(ErrorKind::bad_input, "{}: tensor rope_freqs.weight: expected positive numbers, found {}",
         file.name(), divisor);
  }
  return divisors;
}

}  // namespace

const Family& find_family(const GgufFile& file) {
  const std::string architecture = file.get_string("general.architecture");
  std::vector<std::string_view> known;
  for (const Family& family : kFamilies) {
    if (architecture == family.architecture) return family;
    known.push_back(family.architecture);
  }
  fail(ErrorKind::unsupported, "{}: architecture \"{}\" is not supported; tern runs {}", file.name(),
       architecture, fmt::join(known, ", "));
}

KeyValueShape DecoderShape::key_value() const {
  return std::visit([](const auto& shape) { return shape.key_value(); }, attention);
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

DecoderShape read_common(const ArchKeys& keys) {
  // Switches of families that share a name or a block with those here; running without them would give other
  // numbers.
  keys.refuse({"attention.scale",
               "attention.output_scale",
               "attention.shared_kv_layers",
               "rope.scaling.alpha",
               "rope.freq_base_swa",
               "attention.temperature_length",
               "attention.temperature_scale",
               "attention.clamp_kqv",
               "attention.max_alibi_bias",
               "attn_logit_softcapping",
               "embedding_scale",
               "expert_group_scale",
               "final_logit_softcapping",
               "interleave_moe_layer_step",
               "logit_scale",
               "moe_every_n_layers",
               "residual_scale",
               "rope.scale_linear",
               "swiglu_clamp_exp",
               "swiglu_clamp_shexp"});
  DecoderShape shape;
  shape.architecture = keys.architecture();
  shape.vocab = read_vocab(keys.file());
  shape.hidden = keys.get("embedding_length", 1, kMostWidth);
  shape.context = keys.get("context_length", 1, kMostContext);
  shape.layers = keys.get("block_count", 1, kMostLayers);
  shape.eps = keys.get_epsilon("attention.layer_norm_rms_epsilon");
  return shape;
}

GqaShape read_gqa(const ArchKeys& keys, RopeParams& rope) {
  keys.refuse({"rope.scaling.yarn_log_multiplier"});
  GqaShape shape;
  shape.heads = keys.get("attention.head_count", 1, kMostHeads);
  shape.kv_heads = keys.get_or("attention.head_count_kv", shape.heads, 1, shape.heads);
  if (shape.heads % shape.kv_heads != 0) {
    fail(ErrorKind::bad_input, "{}: {}: {} heads do not fall into {} equal groups", keys.file().name(),
         keys.full("attention.head_count_kv"), shape.heads, shape.kv_heads);
  }
  const uint64_t hidden = keys.get("embedding_length", 1, kMostWidth);
  shape.key = keys.get_or("attention.key_length", hidden / shape.heads, 2, kMostHead);
  shape.value = keys.get_or("attention.value_length", hidden / shape.heads, 1, kMostHead);
  rope = read_rope(keys.file(), keys.architecture(), shape.key);
  if (rope.dimension > shape.key) {
    fail(ErrorKind::bad_input, "{}: {}: expected at most a head's {}, found {}", keys.file().name(),
         keys.full("rope.dimension_count"), shape.key, rope.dimension);
  }
  rope.divisors = read_divisors(keys.file(), rope.dimension);
  return shape;
}

}  // namespace tern
