#include "quant/types.h"

#include <array>
#include <cmath>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "quant/codecs.h"

namespace tern {
namespace {

constexpr std::array<DTypeTraits, 16> known_types = {{
    {DType::f32, "F32", 1, 4},
    {DType::f16, "F16", 1, 2},
    {DType::bf16, "BF16", 1, 2},
    {DType::q4_0, "Q4_0", 32, sizeof(BlockQ4_0)},
    {DType::q4_1, "Q4_1", 32, sizeof(BlockQ4_1)},
    {DType::q5_0, "Q5_0", 32, sizeof(BlockQ5_0)},
    {DType::q5_1, "Q5_1", 32, sizeof(BlockQ5_1)},
    {DType::q8_0, "Q8_0", 32, sizeof(BlockQ8_0)},
    {DType::q2_k, "Q2_K", kSuperBlock, sizeof(BlockQ2_K)},
    {DType::q3_k, "Q3_K", kSuperBlock, sizeof(BlockQ3_K)},
    {DType::q4_k, "Q4_K", kSuperBlock, sizeof(BlockQ4_K)},
    {DType::q5_k, "Q5_K", kSuperBlock, sizeof(BlockQ5_K)},
    {DType::q6_k, "Q6_K", kSuperBlock, sizeof(BlockQ6_K)},
    {DType::iq4_nl, "IQ4_NL", 32, sizeof(BlockIQ4_NL)},
    {DType::iq4_xs, "IQ4_XS", kSuperBlock, sizeof(BlockIQ4_XS)},
    {DType::mxfp4, "MXFP4", 32, sizeof(BlockMXFP4)},
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

// By the type's number: kernels ask for each product. Types that tern does not run have blocks of 0.
constexpr std::array<DTypeTraits, ggml_names.size()> numbered_types = [] {
  std::array<DTypeTraits, ggml_names.size()> all{};
  for (const DTypeTraits& t : known_types) all[static_cast<size_t>(t.type)] = t;
  return all;
}();

/// Null for a number that tern does not run.
const DTypeTraits* numbered_type(uint32_t number) {
  const bool known = number < numbered_types.size() && numbered_types[number].block_size > 0;
  return known ? &numbered_types[number] : nullptr;
}

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

template <typename Block>
void decode_blocks(const std::byte* from, size_t n, float* to) {
  for (size_t i = 0; i < n; i += Block::size, from += sizeof(Block)) {
    Block block;
    std::memcpy(&block, from, sizeof block);
    codecs::decode(block, to + i);
  }
}

void check_finite(DType type, const float* from, size_t n) {
  for (size_t i = 0; i < n; ++i) {
    if (!std::isfinite(from[i]))
      fail(ErrorKind::bad_input, "{}: cannot encode {}", traits(type).name, from[i]);
  }
}

template <typename Block>
void encode_blocks(const float* from, size_t n, std::byte* to) {
  if constexpr (Block::type == DType::iq4_nl || Block::type == DType::iq4_xs) {
    fail(ErrorKind::unsupported, "encoding to {}: tern only reads it", traits(Block::type).name);
  } else {
    check_finite(Block::type, from, n);
    for (size_t i = 0; i < n; i += Block::size, to += sizeof(Block)) {
      Block block{};
      codecs::encode(from + i, block);
      std::memcpy(to, &block, sizeof block);
    }
  }
}

}  // namespace

std::optional<DTypeTraits> find_dtype(uint32_t ggml_type) {
  if (const DTypeTraits* found = numbered_type(ggml_type)) return *found;
  return std::nullopt;
}

std::optional<DTypeTraits> find_dtype(std::string_view name) {
  for (const DTypeTraits& t : known_types) {
    if (t.name == name) return t;
  }
  return std::nullopt;
}

const DTypeTraits& traits(DType type) {
  if (const DTypeTraits* found = numbered_type(static_cast<uint32_t>(type))) return *found;
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
    default:
      visit_block(type, [&]<typename Block>(Block) { decode_blocks<Block>(from, n, to); });
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
    default:
      visit_block(type, [&]<typename Block>(Block) { encode_blocks<Block>(from, n, to); });
  }
}

}  // namespace tern
