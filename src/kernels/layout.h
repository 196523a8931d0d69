// How a packed panel lies in memory. Plain constants and pointers only: the files of every instruction set
// share it.
//
//   F32   [col][16 rows] floats
//   F16   [col][16 rows] halves, as in the file
//   BF16  [col / 2][16 rows][2 cols], as in the file; an odd last column has a zero beside it
//   Q8_0  quants [block of 32 cols][8][16 rows][4 cols] int8, then scales [block][16 rows] halves
//
// A panel is padded to a multiple of 64 bytes, so that a vector of quants never crosses a cache line. Q8_0's
// four columns side by side are what one 32-bit lane of the int8 dot product instructions takes.
#pragma once

#include <cstddef>

namespace tern::layout {

constexpr size_t panel_rows = 16;
constexpr size_t panel_alignment = 64;
constexpr size_t q8_block = 32;
constexpr size_t q8_group = 4;                             ///< columns side by side
constexpr size_t q8_quants_bytes = panel_rows * q8_block;  ///< of one block of 16 rows
constexpr size_t q8_scales_bytes = panel_rows * 2;         ///< of one block of 16 rows
constexpr size_t q8_group_bytes = panel_rows * q8_group;

}  // namespace tern::layout
