#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"
#include "files/gguf.h"

namespace tern {

namespace {

/// A float key that must be finite and above zero.
double positive(const GgufFile& file, const std::string& key, double fallback) {
  const double value = file.float_or(key, fallback);
  if (!std::isfinite(value) || value <= 0) {
    fail(ErrorKind::bad_input, "{}: {}: expected a positive number, found {}", file.name(), key, value);
  }
  return value;
}

/// Switches of other YaRN variants, which must keep their neutral value.
void expect_neutral(const GgufFile& file, const std::string& key, double neutral) {
  const double value = file.float_or(key, neutral);
  if (value != neutral) fail(ErrorKind::unsupported, "{}: {} = {} is not supported", file.name(), key, value);
}

RopeScaling read_scaling(const GgufFile& file, const std::string& prefix) {
  RopeScaling scaling;
  const bool has_factor = file.find(prefix + "factor") != nullptr;
  const std::string type = file.string_or(prefix + "type", has_factor ? "linear" : "none");
  if (type == "none") return scaling;
  if (type != "linear" && type != "yarn") {
    fail(ErrorKind::unsupported, "{}: {}type = \"{}\" is not supported; tern runs none, linear and yarn",
         file.name(), prefix, type);
  }
  scaling.type = type == "yarn" ? RopeScaling::Type::yarn : RopeScaling::Type::linear;
  scaling.factor = positive(file, prefix + "factor", 1.0);
  if (file.find(prefix + "yarn_log_multiplier")) {
    // Readers disagree on an explicit 0, so only a positive one is taken.
    scaling.log_multiplier = positive(file, prefix + "yarn_log_multiplier", 0.1);
  }
  if (scaling.type == RopeScaling::Type::yarn) {
    scaling.original_context = file.get_uint(prefix + "original_context_length");
    if (scaling.original_context == 0) {
      fail(ErrorKind::bad_input, "{}: {}original_context_length: expected at least 1, found 0", file.name(),
           prefix);
    }
    scaling.beta_fast = positive(file, prefix + "yarn_beta_fast", 32.0);
    scaling.beta_slow = positive(file, prefix + "yarn_beta_slow", 1.0);
    expect_neutral(file, prefix + "yarn_ext_factor", 1.0);
    expect_neutral(file, prefix + "yarn_attn_factor", 1.0);
  }
  expect_neutral(file, prefix + "attn_factor", 1.0);
  return scaling;
}

double mscale(double factor, double m) {
  return factor <= 1.0 ? 1.0 : 0.1 * m * std::log(factor) + 1.0;
}

}  // namespace

RopeParams read_rope(const GgufFile& file, const std::string& architecture, uint64_t dimension) {
  const std::string prefix = architecture + ".rope.";
  RopeParams rope;
  if (dimension == 0 || file.find(prefix + "dimension_count")) {
    dimension = file.get_uint(prefix + "dimension_count");
  }
  if (dimension < 2 || dimension % 2 != 0 || dimension > 4096) {
    fail(ErrorKind::bad_input, "{}: {}dimension_count: expected an even number from 2 to 4096, found {}",
         file.name(), prefix, dimension);
  }
  rope.dimension = static_cast<int>(dimension);
  rope.base = positive(file, prefix + "freq_base", 10000.0);
  if (rope.base <= 1.0) {
    fail(ErrorKind::bad_input, "{}: {}freq_base: expected more than 1, found {}", file.name(), prefix,
         rope.base);
  }
  rope.scaling = read_scaling(file, prefix + "scaling.");
  return rope;
}

YarnRamp yarn_ramp(const RopeParams& rope) {
  const double context = static_cast<double>(rope.scaling.original_context);
  // The pair that turns `rotations` times over the original context.
  const auto pair_of = [&](double rotations) {
    return rope.dimension * std::log(context / (rotations * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(rope.base));
  };
  const double low = pair_of(rope.scaling.beta_fast), high = pair_of(rope.scaling.beta_slow);
  const bool whole = rope.scaling.whole_ramp;
  return {std::max(0.0, whole ? std::floor(low) : low),
          std::min(rope.dimension - 1.0, whole ? std::ceil(high) : high)};
}

std::vector<double> rope_frequencies(const RopeParams& rope) {
  std::vector<double> frequencies(rope.dimension / 2);
  const YarnRamp ramp = rope.scaling.type == RopeScaling::Type::yarn ? yarn_ramp(rope) : YarnRamp{};
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double divisor = rope.divisors.empty() ? 1.0 : rope.divisors[i];
    const double plain = std::pow(rope.base, -2.0 * static_cast<double>(i) / rope.dimension) / divisor;
    double stretched = 0.0;  // how far this pair goes from its plain frequency to the divided one
    if (rope.scaling.type == RopeScaling::Type::linear) stretched = 1.0;
    if (rope.scaling.type == RopeScaling::Type::yarn) {
      stretched =
          std::clamp((static_cast<double>(i) - ramp.low) / std::max(0.001, ramp.high - ramp.low), 0.0, 1.0);
    }
    frequencies[i] = plain * (1.0 - stretched) + plain / rope.scaling.factor * stretched;
  }
  return frequencies;
}

double rope_magnitude(const RopeParams& rope) {
  const bool plain = rope.scaling.type != RopeScaling::Type::yarn || rope.scaling.log_multiplier.has_value();
  return plain ? 1.0 : mscale(rope.scaling.factor, 1.0);
}

double rope_softmax_factor(const RopeParams& rope) {
  if (rope.scaling.type == RopeScaling::Type::none) return 1.0;
  if (!rope.scaling.log_multiplier && rope.scaling.type == RopeScaling::Type::linear) return 1.0;
  const double m = rope.scaling.log_multiplier ? *rope.scaling.log_multiplier / 0.1 : 1.0;
  const double scale = mscale(rope.scaling.factor, m);
  return scale * scale;
}

RopeTable::RopeTable(const RopeParams& rope, size_t max_tokens)
    : frequencies_(rope_frequencies(rope)),
      magnitude_(rope_magnitude(rope)),
      halves_(rope.halves),
      cos_sin_(max_tokens * frequencies_.size() * 2) {}

void RopeTable::set(size_t token, int32_t position) {
  float* row = cos_sin_.data() + token * frequencies_.size() * 2;
  for (size_t i = 0; i < frequencies_.size(); ++i) {
    const double angle = position * frequencies_[i];
    row[2 * i] = static_cast<float>(std::cos(angle) * magnitude_);
    row[2 * i + 1] = static_cast<float>(std::sin(angle) * magnitude_);
  }
}

void RopeTable::rotate(size_t token, float* x) const {
  const size_t pairs = frequencies_.size();
  const float* row = cos_sin_.data() + token * pairs * 2;
  for (size_t i = 0; i < pairs; ++i) {
    float& a = halves_ ? x[i] : x[2 * i];
    float& b = halves_ ? x[i + pairs] : x[2 * i + 1];
    const float cos = row[2 * i], sin = row[2 * i + 1];
    const float turned = a * cos - b * sin;
    b = b * cos + a * sin;
    a = turned;
  }
}

}  // namespace tern
