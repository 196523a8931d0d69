// Decoding of the formats of 256 weights: Q2_K to Q6_K and IQ4_XS.
#include "quant/codecs.h"

namespace tern::codecs {
namespace {

// `count` weights of one sub-block, value(i) a small integer each.
template <typename Value>
void scaled(float scale, size_t count, float* to, const Value& value) {
  for (size_t i = 0; i < count; ++i) to[i] = scale * static_cast<float>(value(i));
}

// Q4_K and Q5_K.
template <typename Block>
void decode_scale_min(const Block& block, float* to) {
  const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
  for (size_t part = 0; part < 8; ++part) {
    uint8_t q[kPart];
    quants(block, part, q);
    const ScaleMin s = scale_min(block.scales, part);
    const float scale = d * s.scale, min = dmin * s.min;
    for (size_t i = 0; i < kPart; ++i) to[part * kPart + i] = scale * static_cast<float>(q[i]) - min;
  }
}

}  // namespace

void decode(const BlockQ2_K& block, float* to) {
  const float d = f16_to_f32(block.d), dmin = f16_to_f32(block.dmin);
  for (size_t part = 0; part < 8; ++part) {
    uint8_t q[kPart];
    quants(block, part, q);
    for (size_t i = 0; i < kPart; ++i) {
      const int s = block.scales[part * 2 + i / 16];
      const float scale = d * static_cast<float>(s & 15), min = dmin * static_cast<float>(s >> 4);
      to[part * kPart + i] = scale * static_cast<float>(q[i]) - min;
    }
  }
}

void decode(const BlockQ3_K& block, float* to) {
  const float d = f16_to_f32(block.d);
  for (size_t sub = 0; sub < 16; ++sub) {
    uint8_t q[kPart];
    quants(block, sub / 2, q);
    const float scale = d * static_cast<float>(stored_scale(block, sub) - 32);
    scaled(scale, 16, to + sub * 16, [&](size_t i) { return q[sub % 2 * 16 + i] - 4; });
  }
}

void decode(const BlockQ4_K& block, float* to) {
  decode_scale_min(block, to);
}

void decode(const BlockQ5_K& block, float* to) {
  decode_scale_min(block, to);
}

void decode(const BlockQ6_K& block, float* to) {
  const float d = f16_to_f32(block.d);
  for (size_t sub = 0; sub < 16; ++sub) {
    uint8_t q[kPart];
    quants(block, sub / 2, q);
    scaled(d * block.scales[sub], 16, to + sub * 16, [&](size_t i) { return q[sub % 2 * 16 + i] - 32; });
  }
}

void decode(const BlockIQ4_XS& block, float* to) {
  const float d = f16_to_f32(block.d);
  for (size_t part = 0; part < 8; ++part) {
    uint8_t q[kPart];
    quants(block, part, q);
    const float scale = d * static_cast<float>(stored_scale(block, part) - 32);
    scaled(scale, kPart, to + part * kPart, [&](size_t i) { return iq4_values[q[i]]; });
  }
}

}  // namespace tern::codecs
