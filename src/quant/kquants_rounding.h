// What the searches for K blocks share.
#pragma once

#include <algorithm>
#include <cmath>

#include "quant/codecs.h"

namespace tern::codecs {

// Below this a sub-block is flat: F16 scales cannot tell its weights apart (the least is 2^-24), and squares
// stay normal floats above it.
constexpr float flat = 0x1p-40f;

// To the nearest of 0 .. most, half up.
inline float nearest(float v, float most) {
  return static_cast<float>(static_cast<int>(std::min(std::max(v, 0.0f), most) + 0.5f));
}

// What the refit wants is near what fitted.
inline float rounded_half(float value) {
  constexpr float greatest = 65504;
  return f16_to_f32(f32_to_f16(std::min(std::max(value, -greatest), greatest)));
}

// A block's scale that must reach the greatest weight: among the coarse denormals rounded away from zero.
inline float reaching_half(DType type, const char* field, float value) {
  const uint16_t bits = half_or_fail(type, field, value);
  const bool denormal = (bits & 0x7c00) == 0;
  const bool short_of = std::fabs(f16_to_f32(bits)) < std::fabs(value) && std::fabs(value) > 0x1p-26f;
  return f16_to_f32(denormal && short_of ? static_cast<uint16_t>(bits + 1) : bits);
}

}  // namespace tern::codecs
