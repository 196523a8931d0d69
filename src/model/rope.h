// Rotary position embedding (Su et al. 2021) over interleaved pairs or halves, with linear scaling, YaRN
// (Peng et al. 2023) and given divisors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace tern {

class GgufFile;

/// How a model's trained context was stretched, from `ARCH.rope.scaling.*`.
struct RopeScaling {
  enum class Type { none, linear, yarn };
  Type type = Type::none;
  double factor = 1.0;
  uint64_t original_context = 0;  ///< YaRN only
  double beta_fast = 32.0, beta_slow = 1.0;
  bool whole_ramp = true;                ///< YaRN's ramp begins and ends at whole pairs (all but gpt-oss)
  std::optional<double> log_multiplier;  ///< 0.1 * mscale_all_dim, where the file has it
};

struct RopeParams {
  int dimension = 0;  ///< rotated floats a head, even
  double base = 10000.0;
  RopeScaling scaling;
  bool halves = false;          ///< pairs are (x[i], x[i + dimension / 2]), not (x[2i], x[2i + 1])
  std::vector<float> divisors;  ///< {dimension / 2}: of each pair's frequency (Llama 3.1); empty: none
};

/// Reads `ARCH.rope.{dimension_count, freq_base, scaling.*}`; `dimension` (0: none) is what a missing
/// dimension_count means. A missing scaling.type means linear. Throws Error{bad_input | unsupported} naming
/// file and key.
RopeParams read_rope(const GgufFile& file, const std::string& architecture, uint64_t dimension = 0);

/// The pairs between which YaRN blends: below `low` unchanged frequencies, above `high` divided by the
/// factor.
struct YarnRamp {
  double low = 0, high = 0;
};
YarnRamp yarn_ramp(const RopeParams& rope);

/// Angle per position of each pair: {dimension / 2}.
std::vector<double> rope_frequencies(const RopeParams& rope);
/// What YaRN multiplies cos and sin by. DeepSeek's mscale equals its mscale_all_dim, so this is 1, except
/// where the file has no log multiplier: then 0.1 ln(factor) + 1, as YaRN's paper has it.
double rope_magnitude(const RopeParams& rope);
/// What 1 / sqrt(head dimension) is multiplied by: (0.1 m ln(factor) + 1)^2 with m = mscale_all_dim; a YaRN
/// file without the log multiplier counts as m = 1; any other scaling without it gives 1.
double rope_softmax_factor(const RopeParams& rope);

/// The cos and sin of one batch's positions, shared by all layers and heads. Computed in double, so far
/// positions keep their angle; a batch costs less than a table of a whole context.
class RopeTable {
 public:
  RopeTable(const RopeParams& rope, size_t max_tokens);
  /// Fills row `token` for `position`.
  void set(size_t token, int32_t position);
  /// Rotates x {dimension} in place: pair i by angle i of row `token`.
  void rotate(size_t token, float* x) const;

 private:
  std::vector<double> frequencies_;
  double magnitude_;
  bool halves_;
  std::vector<float> cos_sin_;  ///< {max_tokens, pairs, 2}
};

}  // namespace tern
