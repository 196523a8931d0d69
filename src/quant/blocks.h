// The blocks of the quantized formats as they lie in a GGUF file, after ggml's public definition, and what
// every format gives for 32 of its columns: their quants, a small integer each. Little-endian; loaded with
// memcpy, since in a file they lie at any address.
//
//   quants(block, part, to)   the quants of columns [32 part, 32 part + 32), before any offset or table
//
// A block of 32 has one part, a block of 256 ("K": a super-block) eight. Scales and mins have accessors by
// sub-block, which is 16 or 32 columns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "quant/types.h"
#include "quant/values.h"

namespace tern {

constexpr size_t kPart = 32;         ///< columns of a part
constexpr size_t kSuperBlock = 256;  ///< columns of a K block

/// w = d (q - 8)
struct BlockQ4_0 {
  static constexpr DType type = DType::q4_0;
  static constexpr size_t size = 32;
  uint16_t d;
  uint8_t qs[16];  ///< column i low, column i + 16 high
};
/// w = d q + m
struct BlockQ4_1 {
  static constexpr DType type = DType::q4_1;
  static constexpr size_t size = 32;
  uint16_t d, m;
  uint8_t qs[16];
};
/// w = d (q - 16)
struct BlockQ5_0 {
  static constexpr DType type = DType::q5_0;
  static constexpr size_t size = 32;
  uint16_t d;
  uint8_t qh[4];  ///< fifth bits, that of column i is bit i
  uint8_t qs[16];
};
/// w = d q + m
struct BlockQ5_1 {
  static constexpr DType type = DType::q5_1;
  static constexpr size_t size = 32;
  uint16_t d, m;
  uint8_t qh[4];
  uint8_t qs[16];
};
/// w = d q, q signed
struct BlockQ8_0 {
  static constexpr DType type = DType::q8_0;
  static constexpr size_t size = 32;
  uint16_t d;
  int8_t qs[32];
};
/// w = d iq4_values[q]
struct BlockIQ4_NL {
  static constexpr DType type = DType::iq4_nl;
  static constexpr size_t size = 32;
  uint16_t d;
  uint8_t qs[16];
};
/// w = 2^(e - 128) mxfp4_values[q]: the E2M1 values doubled, the E8M0 scale halved (OCP Microscaling
/// Formats 1.0).
struct BlockMXFP4 {
  static constexpr DType type = DType::mxfp4;
  static constexpr size_t size = 32;
  uint8_t e;
  uint8_t qs[16];
};
/// w = d scale q - dmin min; 16 sub-blocks
struct BlockQ2_K {
  static constexpr DType type = DType::q2_k;
  static constexpr size_t size = kSuperBlock;
  uint8_t scales[16];  ///< scale low, min high
  uint8_t qs[64];
  uint16_t d, dmin;
};
/// w = d (scale - 32) (q - 4); 16 sub-blocks
struct BlockQ3_K {
  static constexpr DType type = DType::q3_k;
  static constexpr size_t size = kSuperBlock;
  uint8_t hmask[32];
  uint8_t qs[64];
  uint8_t scales[12];
  uint16_t d;
};
/// w = d scale q - dmin min; 8 sub-blocks
struct BlockQ4_K {
  static constexpr DType type = DType::q4_k;
  static constexpr size_t size = kSuperBlock;
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t qs[128];
};
/// w = d scale q - dmin min; 8 sub-blocks
struct BlockQ5_K {
  static constexpr DType type = DType::q5_k;
  static constexpr size_t size = kSuperBlock;
  uint16_t d, dmin;
  uint8_t scales[12];
  uint8_t qh[32];
  uint8_t qs[128];
};
/// w = d scale (q - 32); 16 sub-blocks
struct BlockQ6_K {
  static constexpr DType type = DType::q6_k;
  static constexpr size_t size = kSuperBlock;
  uint8_t ql[128];
  uint8_t qh[64];
  int8_t scales[16];
  uint16_t d;
};
/// w = d (scale - 32) iq4_values[q]; 8 sub-blocks
struct BlockIQ4_XS {
  static constexpr DType type = DType::iq4_xs;
  static constexpr size_t size = kSuperBlock;
  uint16_t d;
  uint8_t scales_h[2];  ///< upper 2 bits of the scales, that of sub-block 0 lowest
  uint8_t scales_l[4];  ///< lower 4 bits
  uint8_t qs[128];
};

static_assert(sizeof(BlockQ4_0) == 18 && sizeof(BlockQ4_1) == 20 && sizeof(BlockQ5_0) == 22);
static_assert(sizeof(BlockQ5_1) == 24 && sizeof(BlockQ8_0) == 34 && sizeof(BlockIQ4_NL) == 18);
static_assert(sizeof(BlockMXFP4) == 17 && sizeof(BlockQ2_K) == 84 && sizeof(BlockQ3_K) == 110);
static_assert(sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);
static_assert(sizeof(BlockIQ4_XS) == 136);

/// 2^(e - 128). ggml gives the NaN of E8M0, 255, no place: it is 2^127 here as there.
float mxfp4_scale(uint8_t e);

namespace blocks {

/// 16 bytes of two nibbles: column i low, column i + 16 high.
inline void nibbles(const uint8_t* qs, uint8_t* to) {
  for (size_t i = 0; i < 16; ++i) to[i] = qs[i] & 15;
  for (size_t i = 0; i < 16; ++i) to[16 + i] = qs[i] >> 4;
}
/// Adds bit i of qh, as 16, to to[i]: eight at a time, each byte of a word keeps its own bit, which 0x7f
/// carries to the top.
inline void add_fifth_bits(const uint8_t (&qh)[4], uint8_t* to) {
  for (size_t i = 0; i < 4; ++i) {
    const uint64_t own = qh[i] * 0x0101010101010101u & 0x8040201008040201u;
    const uint64_t tops = (own + 0x7f7f7f7f7f7f7f7fu) & 0x8080808080808080u;
    uint64_t eight;
    std::memcpy(&eight, to + 8 * i, 8);
    eight |= tops >> 3;
    std::memcpy(to + 8 * i, &eight, 8);
  }
}

}  // namespace blocks

inline void quants(const BlockQ4_0& b, size_t /*part*/, uint8_t* to) {
  blocks::nibbles(b.qs, to);
}
inline void quants(const BlockQ4_1& b, size_t /*part*/, uint8_t* to) {
  blocks::nibbles(b.qs, to);
}
inline void quants(const BlockQ5_0& b, size_t /*part*/, uint8_t* to) {
  blocks::nibbles(b.qs, to);
  blocks::add_fifth_bits(b.qh, to);
}
inline void quants(const BlockQ5_1& b, size_t /*part*/, uint8_t* to) {
  blocks::nibbles(b.qs, to);
  blocks::add_fifth_bits(b.qh, to);
}
/// Signed: the two's complement of each.
inline void quants(const BlockQ8_0& b, size_t /*part*/, uint8_t* to) {
  for (size_t i = 0; i < kPart; ++i) to[i] = static_cast<uint8_t>(b.qs[i]);
}
inline void quants(const BlockIQ4_NL& b, size_t /*part*/, uint8_t* to) {
  blocks::nibbles(b.qs, to);
}
inline void quants(const BlockMXFP4& b, size_t /*part*/, uint8_t* to) {
  blocks::nibbles(b.qs, to);
}
inline void quants(const BlockQ2_K& b, size_t part, uint8_t* to) {
  const uint8_t* qs = b.qs + part / 4 * kPart;
  for (size_t i = 0; i < kPart; ++i) to[i] = qs[i] >> (part % 4 * 2) & 3;
}
inline void quants(const BlockQ3_K& b, size_t part, uint8_t* to) {
  const uint8_t* qs = b.qs + part / 4 * kPart;
  for (size_t i = 0; i < kPart; ++i) {
    to[i] = static_cast<uint8_t>((qs[i] >> (part % 4 * 2) & 3) | (b.hmask[i] >> part & 1) << 2);
  }
}
inline void quants(const BlockQ4_K& b, size_t part, uint8_t* to) {
  const uint8_t* qs = b.qs + part / 2 * kPart;
  for (size_t i = 0; i < kPart; ++i) to[i] = qs[i] >> (part % 2 * 4) & 15;
}
inline void quants(const BlockQ5_K& b, size_t part, uint8_t* to) {
  const uint8_t* qs = b.qs + part / 2 * kPart;
  for (size_t i = 0; i < kPart; ++i) {
    to[i] = static_cast<uint8_t>((qs[i] >> (part % 2 * 4) & 15) | (b.qh[i] >> part & 1) << 4);
  }
}
inline void quants(const BlockQ6_K& b, size_t part, uint8_t* to) {
  const uint8_t* ql = b.ql + part / 4 * 64 + part % 2 * kPart;
  const uint8_t* qh = b.qh + part / 4 * kPart;
  for (size_t i = 0; i < kPart; ++i) {
    const int low = ql[i] >> (part % 4 / 2 * 4) & 15;
    to[i] = static_cast<uint8_t>(low | (qh[i] >> (part % 4 * 2) & 3) << 4);
  }
}
inline void quants(const BlockIQ4_XS& b, size_t part, uint8_t* to) {
  blocks::nibbles(b.qs + part * 16, to);
}

/// Scale and min of a sub-block, 0 to 63.
struct ScaleMin {
  uint8_t scale, min;
};
/// The 12 bytes of Q4_K and Q5_K: sub-blocks 0 to 3 in the low 6 bits of bytes 0 to 3 (scales) and 4 to 7
/// (mins); 4 to 7 with their low nibbles in bytes 8 to 11 and their upper two bits above those of 0 to 3.
inline ScaleMin scale_min(const uint8_t (&scales)[12], size_t sub) {
  const uint8_t* s = scales + sub % 4;
  if (sub < 4) return {static_cast<uint8_t>(s[0] & 63), static_cast<uint8_t>(s[4] & 63)};
  return {static_cast<uint8_t>((s[8] & 15) | s[0] >> 6 << 4),
          static_cast<uint8_t>(s[8] >> 4 | s[4] >> 6 << 4)};
}
/// Of 0 bytes.
inline void set_scale_min(uint8_t (&scales)[12], size_t sub, ScaleMin v) {
  uint8_t* s = scales + sub % 4;
  if (sub < 4) {
    s[0] |= v.scale;
    s[4] |= v.min;
    return;
  }
  s[8] |= static_cast<uint8_t>((v.scale & 15) | (v.min & 15) << 4);
  s[0] |= static_cast<uint8_t>(v.scale >> 4 << 6);
  s[4] |= static_cast<uint8_t>(v.min >> 4 << 6);
}

/// 0 to 63, before 32 is taken off. Low nibbles: sub-blocks 0 to 7 low, 8 to 15 high in bytes 0 to 7; upper
/// two bits in bytes 8 to 11.
inline uint8_t stored_scale(const BlockQ3_K& b, size_t sub) {
  const int low = b.scales[sub % 8] >> (sub / 8 * 4) & 15;
  return static_cast<uint8_t>(low | (b.scales[8 + sub % 4] >> (sub / 4 * 2) & 3) << 4);
}
/// Of 0 bytes.
inline void set_stored_scale(BlockQ3_K& b, size_t sub, uint8_t scale) {
  b.scales[sub % 8] |= static_cast<uint8_t>((scale & 15) << (sub / 8 * 4));
  b.scales[8 + sub % 4] |= static_cast<uint8_t>(scale >> 4 << (sub / 4 * 2));
}
/// 0 to 63, before 32 is taken off.
inline uint8_t stored_scale(const BlockIQ4_XS& b, size_t sub) {
  const int low = b.scales_l[sub / 2] >> (sub % 2 * 4) & 15;
  return static_cast<uint8_t>(low | (b.scales_h[sub / 4] >> (sub % 4 * 2) & 3) << 4);
}

/// Calls visit(Block{}) with the block format of a quantized type; false for F32, F16 and BF16.
template <typename Visit>
bool visit_block(DType type, Visit&& visit) {
  switch (type) {
    case DType::q4_0:
      return visit(BlockQ4_0{}), true;
    case DType::q4_1:
      return visit(BlockQ4_1{}), true;
    case DType::q5_0:
      return visit(BlockQ5_0{}), true;
    case DType::q5_1:
      return visit(BlockQ5_1{}), true;
    case DType::q8_0:
      return visit(BlockQ8_0{}), true;
    case DType::q2_k:
      return visit(BlockQ2_K{}), true;
    case DType::q3_k:
      return visit(BlockQ3_K{}), true;
    case DType::q4_k:
      return visit(BlockQ4_K{}), true;
    case DType::q5_k:
      return visit(BlockQ5_K{}), true;
    case DType::q6_k:
      return visit(BlockQ6_K{}), true;
    case DType::iq4_nl:
      return visit(BlockIQ4_NL{}), true;
    case DType::iq4_xs:
      return visit(BlockIQ4_XS{}), true;
    case DType::mxfp4:
      return visit(BlockMXFP4{}), true;
    case DType::f32:
    case DType::f16:
    case DType::bf16:
      return false;
  }
  return false;
}

}  // namespace tern
