// The block formats once more, one weight at a time and written apart from src/quant, for tests to hold it
// to.
#pragma once

#include <cmath>
#include <cstring>

#include "quant/types.h"

namespace tern::test {

inline float weight_half(const uint8_t* p) {
  return f16_to_f32(static_cast<uint16_t>(p[0] | p[1] << 8));
}

/// Bits [at, at + count) of a run of bytes, lowest first; at + count within one byte.
inline int weight_bits(const uint8_t* p, size_t at, int count) {
  return p[at / 8] >> at % 8 & ((1 << count) - 1);
}

/// Scale (or min, `which` 1) of sub-block s of Q4_K and Q5_K, from 12 bytes.
inline int weight_scale_k4(const uint8_t* p, size_t s, size_t which) {
  if (s < 4) return weight_bits(p, (which * 4 + s) * 8, 6);
  return weight_bits(p, (8 + s - 4) * 8 + which * 4, 4) + 16 * weight_bits(p, (which * 4 + s - 4) * 8 + 6, 2);
}

/// Weight i of the block at p.
inline float defined_weight(DType type, const uint8_t* p, size_t i) {
  static constexpr int iq4[] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  static constexpr float e2m1[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  const auto nibble32 = [i](const uint8_t* qs) { return weight_bits(qs, i % 16 * 8 + i / 16 * 4, 4); };
  const size_t part = i / 32, column = i % 32;
  switch (type) {
    case DType::q4_0:
      return weight_half(p) * static_cast<float>(nibble32(p + 2) - 8);
    case DType::q4_1:
      return weight_half(p) * static_cast<float>(nibble32(p + 4)) + weight_half(p + 2);
    case DType::q5_0:
      return weight_half(p) * static_cast<float>(nibble32(p + 6) + 16 * weight_bits(p + 2, i, 1) - 16);
    case DType::q5_1:
      return weight_half(p) * static_cast<float>(nibble32(p + 8) + 16 * weight_bits(p + 4, i, 1)) +
             weight_half(p + 2);
    case DType::q8_0:
      return weight_half(p) * static_cast<float>(static_cast<int8_t>(p[2 + i]));
    case DType::iq4_nl:
      return weight_half(p) * static_cast<float>(iq4[nibble32(p + 2)]);
    case DType::mxfp4: {
      const int q = nibble32(p + 1);
      const float value = std::ldexp(e2m1[q & 7], p[0] - 127);
      return q < 8 ? value : 0 - value;
    }
    case DType::q2_k: {
      const int scales = p[i / 16], q = weight_bits(p + 16, (i / 128 * 32 + column) * 8 + part % 4 * 2, 2);
      const float scale = weight_half(p + 80) * static_cast<float>(scales % 16);
      return scale * static_cast<float>(q) - weight_half(p + 82) * static_cast<float>(scales / 16);
    }
    case DType::q3_k: {
      const size_t s = i / 16;
      const int low = weight_bits(p + 96, s % 8 * 8 + s / 8 * 4, 4),
                high = weight_bits(p + 104, s % 4 * 8 + s / 4 * 2, 2);
      const int q = weight_bits(p + 32, (i / 128 * 32 + column) * 8 + part % 4 * 2, 2);
      const int less = weight_bits(p, column * 8 + part, 1) ? 0 : 4;
      return weight_half(p + 108) * static_cast<float>(low + 16 * high - 32) * static_cast<float>(q - less);
    }
    case DType::q4_k: {
      const float scale = weight_half(p) * static_cast<float>(weight_scale_k4(p + 4, part, 0));
      const float min = weight_half(p + 2) * static_cast<float>(weight_scale_k4(p + 4, part, 1));
      return scale * static_cast<float>(weight_bits(p + 16, (i / 64 * 32 + column) * 8 + part % 2 * 4, 4)) -
             min;
    }
    case DType::q5_k: {
      const float scale = weight_half(p) * static_cast<float>(weight_scale_k4(p + 4, part, 0));
      const float min = weight_half(p + 2) * static_cast<float>(weight_scale_k4(p + 4, part, 1));
      const int q = weight_bits(p + 48, (i / 64 * 32 + column) * 8 + part % 2 * 4, 4) +
                    16 * weight_bits(p + 16, column * 8 + part, 1);
      return scale * static_cast<float>(q) - min;
    }
    case DType::q6_k: {
      const int low = weight_bits(p, (i / 128 * 64 + i % 64) * 8 + i % 128 / 64 * 4, 4);
      const int high = weight_bits(p + 128, (i / 128 * 32 + column) * 8 + part % 4 * 2, 2);
      const float scale = weight_half(p + 208) * static_cast<float>(static_cast<int8_t>(p[192 + i / 16]));
      return scale * static_cast<float>(low + 16 * high - 32);
    }
    case DType::iq4_xs: {
      const int scale = weight_bits(p + 4, part * 4, 4) + 16 * weight_bits(p + 2, part * 2, 2) - 32;
      const int q = weight_bits(p + 8, (part * 16 + column % 16) * 8 + column / 16 * 4, 4);
      return weight_half(p) * static_cast<float>(scale) * static_cast<float>(iq4[q]);
    }
    case DType::f32: {
      float value;
      std::memcpy(&value, p, 4);
      return value;
    }
    case DType::f16:
      return weight_half(p);
    case DType::bf16:
      return bf16_to_f32(static_cast<uint16_t>(p[0] | p[1] << 8));
  }
  return 0;
}

}  // namespace tern::test
