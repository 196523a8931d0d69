// The formats of 32 weights: Q4_0 to Q8_0, MXFP4 and IQ4_NL.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "quant/codecs.h"

namespace tern {

float mxfp4_scale(uint8_t e) {
  // Exponents 0 and 1 give the denormals 2^-128 and 2^-127.
  const uint32_t bits = e < 2 ? 0x00200000u << e : static_cast<uint32_t>(e - 1) << 23;
  return std::bit_cast<float>(bits);
}

namespace codecs {
namespace {

template <typename Block>
void decode_offset(const Block& block, int offset, float* to) {
  uint8_t q[kPart];
  quants(block, 0, q);
  const float d = f16_to_f32(block.d);
  for (size_t i = 0; i < kPart; ++i) to[i] = d * static_cast<float>(q[i] - offset);
}

template <typename Block>
void decode_affine(const Block& block, float* to) {
  uint8_t q[kPart];
  quants(block, 0, q);
  const float d = f16_to_f32(block.d), m = f16_to_f32(block.m);
  for (size_t i = 0; i < kPart; ++i) to[i] = d * static_cast<float>(q[i]) + m;
}

template <typename Block>
void decode_table(const Block& block, float d, const int8_t (&values)[16], float* to) {
  uint8_t q[kPart];
  quants(block, 0, q);
  for (size_t i = 0; i < kPart; ++i) to[i] = d * static_cast<float>(values[q[i]]);
}

// 1 / d as ggml has it, but 0 where that overflows: such a d is 0 in F16 and all quants are as good.
float inverse_of(float d) {
  const float inverse = d != 0 ? 1.0f / d : 0.0f;
  return std::isinf(inverse) ? 0.0f : inverse;
}

float greatest_magnitude(const float* x) {
  float most = 0;
  for (size_t i = 0; i < kPart; ++i) most = std::max(most, std::fabs(x[i]));
  return most;
}

// The first of the values with the greatest magnitude.
float extreme_of(const float* x) {
  float extreme = 0;
  for (size_t i = 0; i < kPart; ++i) {
    if (std::fabs(extreme) < std::fabs(x[i])) extreme = x[i];
  }
  return extreme;
}

void store_nibbles(const uint8_t* q, uint8_t* qs) {
  for (size_t i = 0; i < 16; ++i) qs[i] = static_cast<uint8_t>((q[i] & 15) | q[16 + i] << 4);
}

void store_fifth_bits(const uint8_t* q, uint8_t (&qh)[4]) {
  std::memset(qh, 0, sizeof qh);
  for (size_t i = 0; i < kPart; ++i) qh[i / 8] |= static_cast<uint8_t>(q[i] >> 4 << (i % 8));
}

// The extreme value becomes quant 0, so that all 2 * half quants are used on its side.
template <typename Block>
void quantize_offset(const float* from, int half, Block& block, uint8_t* q) {
  const float d = extreme_of(from) / static_cast<float>(-half);
  const float inverse = inverse_of(d), shift = static_cast<float>(half) + 0.5f;
  block.d = half_or_fail(Block::type, "scale", d);
  for (size_t i = 0; i < kPart; ++i) {
    q[i] = static_cast<uint8_t>(std::min(2 * half - 1, static_cast<int>(from[i] * inverse + shift)));
  }
}

template <typename Block>
void quantize_affine(const float* from, int most, Block& block, uint8_t* q) {
  const auto [least, greatest] = std::minmax_element(from, from + kPart);
  const float low = *least;
  const float d = (*greatest - low) / static_cast<float>(most);
  const float inverse = inverse_of(d);
  block.d = half_or_fail(Block::type, "scale", d);
  block.m = half_or_fail(Block::type, "min", low);
  for (size_t i = 0; i < kPart; ++i) {
    q[i] = static_cast<uint8_t>(std::min(most, static_cast<int>((from[i] - low) * inverse + 0.5f)));
  }
}

// The first of the nearest values.
uint8_t nearest_mxfp4(float x, float d) {
  size_t best = 0;
  for (size_t i = 1; i < 16; ++i) {
    if (std::fabs(mxfp4_values[i] * d - x) < std::fabs(mxfp4_values[best] * d - x)) best = i;
  }
  return static_cast<uint8_t>(best);
}

}  // namespace

uint16_t half_or_fail(DType type, const char* field, float value) {
  const uint16_t bits = f32_to_f16(value);
  if ((bits & 0x7c00) == 0x7c00) {
    fail(ErrorKind::bad_input, "{}: cannot encode: the {} {} does not fit F16", traits(type).name, field,
         value);
  }
  return bits;
}

void decode(const BlockQ4_0& block, float* to) {
  decode_offset(block, 8, to);
}
void decode(const BlockQ4_1& block, float* to) {
  decode_affine(block, to);
}
void decode(const BlockQ5_0& block, float* to) {
  decode_offset(block, 16, to);
}
void decode(const BlockQ5_1& block, float* to) {
  decode_affine(block, to);
}
void decode(const BlockQ8_0& block, float* to) {
  const float d = f16_to_f32(block.d);
  for (size_t i = 0; i < kPart; ++i) to[i] = d * static_cast<float>(block.qs[i]);
}
void decode(const BlockMXFP4& block, float* to) {
  decode_table(block, mxfp4_scale(block.e), mxfp4_values, to);
}
void decode(const BlockIQ4_NL& block, float* to) {
  decode_table(block, f16_to_f32(block.d), iq4_values, to);
}

void encode(const float* from, BlockQ4_0& block) {
  uint8_t q[kPart];
  quantize_offset(from, 8, block, q);
  store_nibbles(q, block.qs);
}

void encode(const float* from, BlockQ4_1& block) {
  uint8_t q[kPart];
  quantize_affine(from, 15, block, q);
  store_nibbles(q, block.qs);
}

void encode(const float* from, BlockQ5_0& block) {
  uint8_t q[kPart];
  quantize_offset(from, 16, block, q);
  store_nibbles(q, block.qs);
  store_fifth_bits(q, block.qh);
}

void encode(const float* from, BlockQ5_1& block) {
  uint8_t q[kPart];
  quantize_affine(from, 31, block, q);
  store_nibbles(q, block.qs);
  store_fifth_bits(q, block.qh);
}

// Rounded half away from zero.
void encode(const float* from, BlockQ8_0& block) {
  const float d = greatest_magnitude(from) / 127.0f;
  const float inverse = inverse_of(d);
  block.d = half_or_fail(DType::q8_0, "scale", d);
  for (size_t i = 0; i < kPart; ++i) block.qs[i] = static_cast<int8_t>(std::round(from[i] * inverse));
}

// The scale puts the greatest magnitude between 4 and 8, of which 6 can be had. Below 2^-125 ggml's exponent
// wraps; here it stays 0.
void encode(const float* from, BlockMXFP4& block) {
  const float most = greatest_magnitude(from);
  const float exponent = most > 0 ? std::floor(std::log2(most)) - 2 + 127 : 0.0f;
  block.e = static_cast<uint8_t>(std::max(exponent, 0.0f));
  const float d = mxfp4_scale(block.e);
  uint8_t q[kPart];
  for (size_t i = 0; i < kPart; ++i) q[i] = nearest_mxfp4(from[i], d);
  store_nibbles(q, block.qs);
}

}  // namespace codecs
}  // namespace tern
