// The block formats of weights: what their bytes mean, as the GGUF specification defines them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace tern {

/// The numbers are those of ggml's type field in GGUF files.
enum class DType : uint32_t {
  f32 = 0,
  f16 = 1,
  q4_0 = 2,
  q4_1 = 3,
  q5_0 = 6,
  q5_1 = 7,
  q8_0 = 8,
  q2_k = 10,
  q3_k = 11,
  q4_k = 12,
  q5_k = 13,
  q6_k = 14,
  iq4_nl = 20,
  iq4_xs = 23,
  bf16 = 30,
  mxfp4 = 39
};

struct DTypeTraits {
  DType type;
  std::string_view name;  ///< as GGUF tools spell it: "F32", "Q8_0"
  size_t block_size;      ///< weights in a block
  size_t block_bytes;     ///< bytes of a block
};

/// Nothing for a number that tern does not run.
std::optional<DTypeTraits> find_dtype(uint32_t ggml_type);
std::optional<DTypeTraits> find_dtype(std::string_view name);
const DTypeTraits& traits(DType type);
/// ggml's name of any type number, also of those tern does not run, for error messages; "type 99" if unknown.
std::string ggml_type_name(uint32_t ggml_type);

/// Bytes of n contiguous weights; n must be a multiple of the block size (throws Error{bad_input}),
/// overflow-safe.
uint64_t row_bytes(DType type, uint64_t n);

/// n weights to floats, exactly as the format defines them. n is a multiple of the block size.
void decode(DType type, const std::byte* from, size_t n, float* to);
/// n floats to blocks. F16 and BF16 round to nearest even. Q4_0 to Q8_0 and MXFP4 as ggml's reference, bit
/// for bit; Q2_K to Q6_K by a search for the least squared error (quant/kquants_encode.cpp). Throws
/// Error{bad_input} for an infinity or a NaN in a block and for a scale that F16 cannot hold,
/// Error{unsupported} for IQ4_NL and IQ4_XS, which are only read.
void encode(DType type, const float* from, size_t n, std::byte* to);

// IEEE binary16, the same bits as x86's F16C gives: signalling NaNs become quiet and keep what fits of their
// payload.
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);  ///< round to nearest even, overflow to infinity
inline float bf16_to_f32(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value;
  __builtin_memcpy(&value, &wide, 4);
  return value;
}
uint16_t f32_to_bf16(float value);  ///< round to nearest even, NaN stays NaN

}  // namespace tern
