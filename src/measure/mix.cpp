#include "measure/mix.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <optional>
#include <span>

#include "base/error.h"
#include "files/printable.h"

namespace tern {
namespace {

constexpr std::array mixes = {
    Mix{"F32", DType::f32, 0},      Mix{"F16", DType::f16, 1},      Mix{"BF16", DType::bf16, 32},
    Mix{"Q4_0", DType::q4_0, 2},    Mix{"Q4_1", DType::q4_1, 3},    Mix{"Q5_0", DType::q5_0, 8},
    Mix{"Q5_1", DType::q5_1, 9},    Mix{"Q8_0", DType::q8_0, 7},    Mix{"Q2_K", DType::q2_k, 10},
    Mix{"Q3_K_S", DType::q3_k, 11}, Mix{"Q3_K_M", DType::q3_k, 12}, Mix{"Q3_K_L", DType::q3_k, 13},
    Mix{"Q4_K_S", DType::q4_k, 14}, Mix{"Q4_K_M", DType::q4_k, 15}, Mix{"Q5_K_S", DType::q5_k, 16},
    Mix{"Q5_K_M", DType::q5_k, 17}, Mix{"Q6_K", DType::q6_k, 18},   Mix{"MXFP4_MOE", DType::mxfp4, 38},
};

constexpr std::pair<std::string_view, std::string_view> aliases[] = {
    {"Q3_K", "Q3_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q5_K", "Q5_K_M"}};

struct Rule {
  std::string_view mix;
  TensorPart part;
  RuleLayers layers;
  DType type;
};

using enum TensorPart;
using enum RuleLayers;

/// The first that holds decides; where none does, the mix's base.
constexpr Rule rules[] = {
    {"Q2_K", value, grouped, DType::q4_k},
    {"Q2_K", value, all, DType::q3_k},
    {"Q2_K", down, all, DType::q3_k},
    {"Q2_K", attention_output, all, DType::q3_k},
    {"Q3_K_M", value, first_two, DType::q5_k},
    {"Q3_K_M", value, all, DType::q4_k},
    {"Q3_K_M", down, first_sixteenth, DType::q5_k},
    {"Q3_K_M", down, all, DType::q4_k},
    {"Q3_K_M", attention_output, all, DType::q4_k},
    {"Q3_K_L", value, all, DType::q5_k},
    {"Q3_K_L", down, all, DType::q5_k},
    {"Q3_K_L", attention_output, all, DType::q5_k},
    {"Q4_K_S", value, first_four, DType::q5_k},
    {"Q4_K_S", down, first_eighth, DType::q5_k},
    {"Q4_K_M", value, more_bits, DType::q6_k},
    {"Q4_K_M", down, more_bits, DType::q6_k},
    {"Q5_K_M", value, more_bits, DType::q6_k},
    {"Q5_K_M", down, more_bits, DType::q6_k},
};

/// In models of eight experts attention is a small part, which gets more.
constexpr Rule eight_expert_rules[] = {
    {"Q2_K", attention_output, all, DType::q5_k},   {"Q3_K_S", attention_output, all, DType::q5_k},
    {"Q3_K_M", attention_output, all, DType::q5_k}, {"Q4_K_S", attention_output, all, DType::q5_k},
    {"Q4_K_M", attention_output, all, DType::q5_k}, {"Q3_K_L", attention_output, all, DType::q3_k},
};

bool is_quantized(DType type) {
  return type != DType::f32 && type != DType::f16 && type != DType::bf16;
}

/// The type whose blocks of 32 stand in for blocks of 256.
std::optional<DType> stand_in(DType type) {
  switch (type) {
    case DType::q2_k:
    case DType::q3_k:
      return DType::q4_0;
    case DType::q4_k:
      return DType::q5_0;
    case DType::q5_k:
      return DType::q5_1;
    case DType::q6_k:
      return DType::q8_0;
    default:
      return std::nullopt;
  }
}

DType fitting(DType type, uint64_t row) {
  if (row % traits(type).block_size == 0) return type;
  const auto other = stand_in(type);
  return other && row % traits(*other).block_size == 0 ? *other : DType::f16;
}

std::optional<uint64_t> layer_of(std::string_view name) {
  constexpr std::string_view prefix = "blk.";
  if (!name.starts_with(prefix)) return std::nullopt;
  uint64_t layer = 0;
  const auto [end, error] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), layer);
  if (error != std::errc{}) return std::nullopt;
  return layer;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

uint64_t dimensions(const GgufTensor& tensor) {
  uint64_t n = tensor.dims.size();
  while (n > 1 && tensor.dims[n - 1] == 1) --n;
  return n;
}

}  // namespace

const Mix& find_mix(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const auto& [alias, full] : aliases) {
    if (upper == alias) upper = full;
  }
  for (const Mix& mix : mixes) {
    if (mix.name == upper) return mix;
  }
  fail(ErrorKind::bad_input, "type {}: expected one of {}", printable(name), mix_names());
}

std::string mix_names() {
  std::string names;
  for (const Mix& mix : mixes) names += fmt::format("{}{}", names.empty() ? "" : ", ", mix.name);
  return names;
}

bool is_quantizable(const GgufTensor& tensor) {
  return dimensions(tensor) >= 2 && tensor.name.ends_with("weight") &&
         !contains(tensor.name, "_norm.weight") && !contains(tensor.name, "ffn_gate_inp.weight");
}

MixRules::MixRules(const GgufFile& file, const Mix& mix)
    : mix_(mix), tied_(!file.find_tensor("output.weight")) {
  const std::string arch = file.get_string("general.architecture");
  const auto number = [&](const char* key, uint64_t fallback) {
    const GgufValue* found = file.find(arch + "." + key);  // some models have one a layer
    const bool integer =
        found && (std::holds_alternative<uint64_t>(*found) || std::holds_alternative<int64_t>(*found));
    return integer ? file.get_uint(arch + "." + key) : fallback;
  };
  blocks_ = number("block_count", 0);
  experts_ = number("expert_count", 0);
  const uint64_t heads = number("attention.head_count", 1);
  const uint64_t kv_heads = std::max<uint64_t>(1, number("attention.head_count_kv", heads));
  heads_per_kv_ = heads / kv_heads;
  is_70b_ = blocks_ == 80 && (arch == "qwen2" || (arch == "llama" && heads != kv_heads));
  for (const GgufTensor& tensor : file.tensors()) {
    if (part_of(tensor.name) == value) value_layers_.push_back(layer_of(tensor.name).value_or(0));
  }
  std::sort(value_layers_.begin(), value_layers_.end());
}

TensorPart MixRules::part_of(std::string_view name) const {
  if (name == "output.weight") return output;
  if (name == "token_embd.weight") return tied_ ? output : embedding;
  for (const char* part : {"attn_qkv.weight", "attn_kv_b.weight", "attn_v.weight"})
    if (contains(name, part)) return value;
  if (contains(name, "attn_k.weight")) return key;
  if (contains(name, "attn_output.weight")) return attention_output;
  return contains(name, "ffn_down") ? down : other;
}

bool MixRules::holds(RuleLayers layers, TensorPart part, std::string_view name) const {
  uint64_t layer = layer_of(name).value_or(0), count = blocks_;
  if (part == value) {  // counted among the layers that have one
    count = value_layers_.size();
    layer = static_cast<uint64_t>(std::ranges::lower_bound(value_layers_, layer) - value_layers_.begin());
  }
  switch (layers) {
    case all:
      return true;
    case first_two:
      return layer < 2;
    case first_four:
      return layer < 4;
    case first_eighth:
      return layer < count / 8;
    case first_sixteenth:
      return layer < count / 16;
    case more_bits:
      return layer < count / 8 || layer >= 7 * count / 8 || (layer - count / 8) % 3 == 2;
    case grouped:
      return heads_per_kv_ >= 4;
  }
  return false;
}

DType MixRules::by_rules(TensorPart part, std::string_view name) const {
  const auto first = [&](std::span<const Rule> table) -> const Rule* {
    const auto found = std::ranges::find_if(table, [&](const Rule& rule) {
      return rule.mix == mix_.name && rule.part == part && holds(rule.layers, part, name);
    });
    return found == table.end() ? nullptr : &*found;
  };
  const Rule* rule = experts_ == 8 ? first(eight_expert_rules) : nullptr;
  if (!rule) rule = first(rules);
  return rule ? rule->type : mix_.base;
}

DType MixRules::wanted(const GgufTensor& tensor) const {
  const TensorPart part = part_of(tensor.name);
  // llama.cpp gives MXFP4 to the three-dimensional projections of latent attention too, which are no experts.
  if (mix_.base == DType::mxfp4) return contains(tensor.name, "_exps.") ? DType::mxfp4 : DType::q8_0;
  if (part == output) {
    const bool whole = tensor.dims[0] % traits(mix_.base).block_size == 0;
    return whole && mix_.base != DType::q8_0 ? DType::q6_k : DType::q8_0;
  }
  if (experts_ == 8 && (part == value || part == key)) return DType::q8_0;
  const DType type = by_rules(part, tensor.name);
  // In models of 70 B eight heads share a value head: its few weights are worth more bits.
  if (part == value && is_70b_ && (type == DType::q3_k || type == DType::q4_k)) return DType::q5_k;
  return type;
}

DType MixRules::type_of(const GgufTensor& tensor) const {
  if (!is_quantizable(tensor)) return tensor.dtype();
  return is_quantized(mix_.base) ? fitting(wanted(tensor), tensor.dims[0]) : mix_.base;
}

}  // namespace tern
