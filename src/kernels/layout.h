// How a packed panel lies in memory. Plain constants and pointers only: the files of every instruction set
// share it.
//
//   F32   [col][16 rows] floats
//   F16   [col][16 rows] halves, as in the file
//   BF16  [col / 2][16 rows][2 cols], as in the file; an odd last column has a zero beside it
//
// Block formats: the quants of all parts of 32 columns, then the records of scales. Both hold just the bits
// of the file, so a packed panel is as large as its rows there.
//
//   quants  [part] a plane of the quants' low bits, then for some a plane of their high bits. A plane of B
//   bits is
//           [B][16 rows][4 bytes]; four columns are a group, and group g of the part's 8 lies in vector g /
//           (8 / B), its column c in the row's byte c, at bit B (g % (8 / B)). So 64 bytes, shifted and
//           masked, are four columns of 16 rows, as the int8 dot product instructions take them.
//   records [unit] what the formats below say, each field for all 16 rows. A unit is a block of the file: one
//   part,
//           or the eight of a K block.
//
//   Q4_0, Q5_0, Q8_0, IQ4_NL   d halves
//   Q4_1, Q5_1                 d, m halves
//   MXFP4                      e bytes
//   Q2_K                       d, dmin halves, [16 sub-blocks] bytes: scale low, min high nibble
//   Q3_K                       d halves, sixes of the 16 scales
//   Q4_K, Q5_K                 d, dmin halves, sixes of (scale, min) of the 8 sub-blocks in turn
//   Q6_K                       d halves, [16 sub-blocks] int8 scales
//   IQ4_XS                     d halves, sixes of the 8 scales
//
// "Sixes" are N numbers of 6 bits: [N / 2] bytes of low nibbles, number 2j low and 2j + 1 high in byte j,
// then [N / 4] bytes of upper pairs, those of number 4j lowest in byte j.
//
// A panel is padded to a multiple of 64 bytes, so that a vector of quants never crosses a cache line.
#pragma once

#include <cstddef>

namespace tern::layout {

constexpr size_t panel_rows = 16;
constexpr size_t panel_alignment = 64;
constexpr size_t part_cols = 32;  ///< also the columns of a block of activations
constexpr size_t half_part = 16;  ///< the columns that a sum of activations is over
constexpr size_t group_cols = 4;
constexpr size_t part_groups = part_cols / group_cols;
constexpr size_t group_bytes = panel_rows * group_cols;  ///< of one byte a quant
constexpr size_t halves_bytes = panel_rows * 2;          ///< of one F16 field of a record

struct BlockLayout {
  size_t low_bits, high_bits;  ///< of a quant
  size_t unit_parts;           ///< parts of a unit
  size_t record_bytes;         ///< of a unit
};
constexpr BlockLayout q4_0 = {4, 0, 1, 32};
constexpr BlockLayout q4_1 = {4, 0, 1, 64};
constexpr BlockLayout q5_0 = {4, 1, 1, 32};
constexpr BlockLayout q5_1 = {4, 1, 1, 64};
constexpr BlockLayout q8_0 = {8, 0, 1, 32};
constexpr BlockLayout iq4_nl = {4, 0, 1, 32};
constexpr BlockLayout mxfp4 = {4, 0, 1, 16};
constexpr BlockLayout q2_k = {2, 0, 8, 64 + 256};
constexpr BlockLayout q3_k = {2, 1, 8, 32 + 192};
constexpr BlockLayout q4_k = {4, 0, 8, 64 + 192};
constexpr BlockLayout q5_k = {4, 1, 8, 64 + 192};
constexpr BlockLayout q6_k = {4, 2, 8, 32 + 256};
constexpr BlockLayout iq4_xs = {4, 0, 8, 32 + 96};

}  // namespace tern::layout
