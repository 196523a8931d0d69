#include "quant/types.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"

namespace tern {
namespace {

constexpr size_t q8_block = 32;

constexpr std::array<DTypeTraits, 4> known_types = {{
    {DType::f32, "F32", 1, 4},
    {DType::f16, "F16", 1, 2},
    {DType::q8_0, "Q8_0", q8_block, 2 + q8_block},
    {DType::bf16, "BF16", 1, 2},
}};

// ggml's numbering; empty where a number was never used or was removed.
constexpr std::array<std::string_view, 41> ggml_names = {
    "F32",   "F16",        "Q4_0",       "Q4_1",       "",         "",         "Q5_0",
    "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
    "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
    "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
    "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
    "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4",
};

uint16_t load_u16(const std::byte* from) {
  uint16_t bits;
  std::memcpy(&bits, from, 2);
  return bits;
}

void store_u16(uint16_t bits, std::byte* to) {
  std::memcpy(to, &bits, 2);
}

void check_whole_blocks(DType type, size_t n) {
  const DTypeTraits& t = traits(type);
  if (n % t.block_size != 0) {
    fail(ErrorKind::bad_input, "{} weights of {}: expected a multiple of {}", n, t.name, t.block_size);
  }
}

// A block is an F16 scale d, then 32 int8 quants q; the weights are d * q.
void decode_q8_block(const std::byte* from, float* to) {
  const float scale = f16_to_f32(load_u16(from));
  for (size_t i = 0; i < q8_block; ++i) {
    to[i] = scale * static_cast<float>(std::to_integer<int8_t>(from[2 + i]));
  }
}

void encode_q8_block(const float* from, std::byte* to) {
  float most = 0;
  for (size_t i = 0; i < q8_block; ++i) {
    if (!std::isfinite(from[i])) fail(ErrorKind::bad_input, "Q8_0: cannot encode {}", from[i]);
    most = std::max(most, std::fabs(from[i]));
  }
  const float scale = most / 127.0f;
  const uint16_t scale_bits = f32_to_f16(scale);
  if (std::isinf(f16_to_f32(scale_bits))) {
    fail(ErrorKind::bad_input, "Q8_0: cannot encode {}: the scale {} does not fit F16", most, scale);
  }
  // A scale so small that its inverse overflows is 0 in F16 anyway: the block is all zeros.
  float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  if (std::isinf(inverse)) inverse = 0;
  store_u16(scale_bits, to);
  for (size_t i = 0; i < q8_block; ++i) {
    to[2 + i] = static_cast<std::byte>(static_cast<int8_t>(std::round(from[i] * inverse)));
  }
}

}  // namespace

std::optional<DTypeTraits> find_dtype(uint32_t ggml_type) {
  for (const DTypeTraits& t : known_types) {
    if (static_cast<uint32_t>(t.type) == ggml_type) return t;
  }
  return std::nullopt;
}

std::optional<DTypeTraits> find_dtype(std::string_view name) {
  for (const DTypeTraits& t : known_types) {
    if (t.name == name) return t;
  }
  return std::nullopt;
}

const DTypeTraits& traits(DType type) {
  for (const DTypeTraits& t : known_types) {
    if (t.type == type) return t;
  }
  fail(ErrorKind::internal, "no traits for {}", ggml_type_name(static_cast<uint32_t>(type)));
}

std::string ggml_type_name(uint32_t ggml_type) {
  if (ggml_type < ggml_names.size() && !ggml_names[ggml_type].empty()) {
    return std::string(ggml_names[ggml_type]);
  }
  return fmt::format("type {}", ggml_type);
}

uint64_t row_bytes(DType type, uint64_t n) {
  check_whole_blocks(type, n);
  const DTypeTraits& t = traits(type);
  return checked_mul(n / t.block_size, t.block_bytes, "bytes of weights");
}

void decode(DType type, const std::byte* from, size_t n, float* to) {
  check_whole_blocks(type, n);
  switch (type) {
    case DType::f32:
      if (n > 0) std::memcpy(to, from, n * sizeof(float));
      break;
    case DType::f16:
      for (size_t i = 0; i < n; ++i) to[i] = f16_to_f32(load_u16(from + 2 * i));
      break;
    case DType::bf16:
      for (size_t i = 0; i < n; ++i) to[i] = bf16_to_f32(load_u16(from + 2 * i));
      break;
    case DType::q8_0:
      for (size_t b = 0; b < n / q8_block; ++b) decode_q8_block(from + b * (2 + q8_block), to + b * q8_block);
      break;
  }
}

void encode(DType type, const float* from, size_t n, std::byte* to) {
  check_whole_blocks(type, n);
  switch (type) {
    case DType::f32:
      if (n > 0) std::memcpy(to, from, n * sizeof(float));
      break;
    case DType::f16:
      for (size_t i = 0; i < n; ++i) store_u16(f32_to_f16(from[i]), to + 2 * i);
      break;
    case DType::bf16:
      for (size_t i = 0; i < n; ++i) store_u16(f32_to_bf16(from[i]), to + 2 * i);
      break;
    case DType::q8_0:
      for (size_t b = 0; b < n / q8_block; ++b) encode_q8_block(from + b * q8_block, to + b * (2 + q8_block));
      break;
  }
}

float f16_to_f32(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1f;
  const uint32_t fraction = bits & 0x3ff;
  if (exponent == 0x1f) {
    const uint32_t quiet = fraction != 0 ? 0x400000 : 0;
    return std::bit_cast<float>(sign | 0x7f800000 | quiet | (fraction << 13));
  }
  if (exponent == 0) {  // a denormal, or zero: fraction * 2^-24 is exact
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 16) & 0x8000;
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) {
    return static_cast<uint16_t>(sign | 0x7e00 | ((magnitude >> 13) & 0x3ff));
  }
  if (magnitude >= 0x47800000) return static_cast<uint16_t>(sign | 0x7c00);  // 65536 and above
  if (magnitude < 0x33000000) return static_cast<uint16_t>(sign);            // below half the least denormal
  const bool normal = magnitude >= 0x38800000;
  const uint32_t exponent = magnitude >> 23;
  // Round off `shift` bits of the significand; a carry runs into the exponent, which is what rounding up
  // means.
  const uint32_t significand = normal ? magnitude - 0x38000000 : (magnitude & 0x7fffff) | 0x800000;
  const uint32_t shift = normal ? 13 : 126 - exponent;
  const uint32_t kept = significand >> shift;
  const uint32_t rest = significand & ((1u << shift) - 1);
  const uint32_t half = 1u << (shift - 1);
  const uint32_t up = rest > half || (rest == half && (kept & 1) != 0) ? 1 : 0;
  return static_cast<uint16_t>(sign | (kept + up));
}

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 0x40);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace tern
