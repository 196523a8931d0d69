#pragma once

#include <cstdint>

namespace tern::train::kernels {

/// exp(x) to about 2 units in the last place, in a form that compilers vectorise (Cephes' expf). Clamped to
/// the finite range; never a denormal.
inline float fast_exp(float x) {
  x = x < -87.0f ? -87.0f : (x > 88.0f ? 88.0f : x);
  const float shifted = x * 1.44269504f + 12582912.0f;  // rounds to a whole number in the low mantissa bits
  const float n = shifted - 12582912.0f;
  const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const int32_t power = (static_cast<int32_t>(n) + 127) << 23;
  float two_to_n;
  __builtin_memcpy(&two_to_n, &power, 4);
  return p * two_to_n;
}

}  // namespace tern::train::kernels
