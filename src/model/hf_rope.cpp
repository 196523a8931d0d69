// How a checkpoint's rope_parameters or rope_scaling become GGUF's keys.
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "model/hf_assembly.h"

namespace tern {
namespace {

double positive(const HfConfig& config, const char* key, double value) {
  if (std::isfinite(value) && value > 0) return value;
  fail(ErrorKind::bad_input, "{}: {}: expected a number above 0, found {}", config.name(), key, value);
}

/// Llama 3.x (as transformers' rope_type "llama3"): long wavelengths are stretched by `factor`, short ones
/// kept, those between blended. The divisors of each pair's frequency.
std::vector<float> llama3_divisors(const HfConfig& rope, double base, uint64_t dimension) {
  const double factor = positive(rope, "factor", rope.get_float("factor"));
  const double low = positive(rope, "low_freq_factor", rope.get_float("low_freq_factor"));
  const double high = positive(rope, "high_freq_factor", rope.get_float("high_freq_factor"));
  const auto original = static_cast<double>(rope.get_uint("original_max_position_embeddings"));
  if (high <= low) {
    fail(ErrorKind::bad_input, "{}: high_freq_factor: expected more than low_freq_factor ({}), found {}",
         rope.name(), low, high);
  }
  std::vector<float> divisors;
  for (uint64_t i = 0; i < dimension / 2; ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(dimension);
    const double wavelength = 2 * std::numbers::pi * std::pow(base, exponent);
    double divisor = wavelength > original / low ? factor : 1.0;
    if (wavelength >= original / high && wavelength <= original / low) {
      const double smooth = (original / wavelength - low) / (high - low);
      divisor = 1 / ((1 - smooth) / factor + smooth);
    }
    divisors.push_back(static_cast<float>(divisor));
  }
  return divisors;
}

void add_llama3(HfAssembly& to, const HfConfig& rope, double base, uint64_t dimension) {
  auto divisors = llama3_divisors(rope, base, dimension);
  const uint64_t pairs = divisors.size();
  to.made("rope_freqs.weight", {pairs}, static_cast<uint32_t>(DType::f32),
          [divisors = std::move(divisors)](std::span<std::byte> out) {
            std::memcpy(out.data(), divisors.data(), out.size());
          });
}

/// cos and sin are multiplied by 0.1 ln(factor) + 1 where GGUF says nothing else.
void check_attention_factor(const HfConfig& rope, double factor) {
  const double expected = factor <= 1 ? 1.0 : 0.1 * std::log(factor) + 1.0;
  if (std::abs(rope.float_or("attention_factor", expected) - expected) > 1e-4 * expected) {
    rope.refuse("attention_factor", fmt::format("tern runs 0.1 ln(factor) + 1 = {:.6f} only", expected));
  }
}

/// DeepSeek: mscale and mscale_all_dim are one number m, which GGUF keeps as 0.1 m.
void add_mscale(HfAssembly& to, const HfConfig& rope) {
  if (rope.has("attention_factor")) rope.refuse("attention_factor", "DeepSeek's YaRN has mscale");
  const double all = positive(rope, "mscale_all_dim", rope.get_float("mscale_all_dim"));
  if (rope.float_or("mscale", 1.0) != all) rope.refuse("mscale", "tern runs mscale = mscale_all_dim only");
  to.key("rope.scaling.yarn_log_multiplier", 0.1 * all);
}

void add_yarn(HfAssembly& to, const HfConfig& rope, const HfRopeRules& rules) {
  const double factor = positive(rope, "factor", rope.get_float("factor"));
  to.key("rope.scaling.type", std::string("yarn"));
  to.key("rope.scaling.factor", factor);
  to.key("rope.scaling.original_context_length", rope.get_uint("original_max_position_embeddings"));
  if (rope.has("beta_fast"))
    to.key("rope.scaling.yarn_beta_fast", positive(rope, "beta_fast", rope.get_float("beta_fast")));
  if (rope.has("beta_slow"))
    to.key("rope.scaling.yarn_beta_slow", positive(rope, "beta_slow", rope.get_float("beta_slow")));
  rope.expect("truncate", !rules.yarn_untruncated);
  if (rules.mscale) return add_mscale(to, rope);
  check_attention_factor(rope, factor);
  for (const char* key : {"mscale", "mscale_all_dim"}) {
    if (rope.has(key)) rope.refuse(key, "this family's YaRN has none");
  }
}

}  // namespace

void add_rope(HfAssembly& to, const HfRopeRules& rules, uint64_t dimension) {
  const HfConfig& config = to.config();
  const bool parameters = config.has("rope_parameters");  // transformers 5
  const HfConfig rope = config.section(parameters ? "rope_parameters" : "rope_scaling");
  for (const char* key : {"full_attention", "sliding_attention"}) {
    if (rope.has(key)) rope.refuse(key, "tern runs one RoPE for all layers");
  }
  config.expect_number("partial_rotary_factor", 1.0);
  rope.expect_number("partial_rotary_factor", 1.0);
  const double base =
      rope.has("rope_theta") ? rope.get_float("rope_theta") : config.float_or("rope_theta", 10000.0);
  to.key("rope.freq_base", positive(config, "rope_theta", base));
  const char* type_key = rope.has("rope_type") ? "rope_type" : "type";
  const std::string type = rope.string_or(type_key, "default");
  if (type == "default") return;
  if (type == "linear") {
    to.key("rope.scaling.type", type);
    to.key("rope.scaling.factor", positive(rope, "factor", rope.get_float("factor")));
  } else if (type == "yarn") {
    add_yarn(to, rope, rules);
  } else if (type == "llama3" && rules.llama3) {
    add_llama3(to, rope, base, dimension);
  } else {
    rope.refuse(type_key,
                fmt::format("tern runs default, linear{} and yarn", rules.llama3 ? ", llama3" : ""));
  }
}

}  // namespace tern
