#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "kernels/kernels.h"
#include "kernels/layout.h"
#include "kernels/pack_blocks.h"

namespace tern {
namespace {

using layout::panel_rows;

static_assert(kPanelRows == layout::panel_rows);

// `to`[step][16 rows][Unit bytes] from rows of `steps` units; absent rows are zero.
template <size_t Unit>
void interleave(const PanelRows& rows, size_t offset, size_t steps, std::byte* to) {
  if (rows.count < panel_rows) std::memset(to, 0, steps * panel_rows * Unit);
  for (size_t r = 0; r < rows.count; ++r) {
    const std::byte* from = rows.row(r) + offset;
    for (size_t s = 0; s < steps; ++s) std::memcpy(to + (s * panel_rows + r) * Unit, from + s * Unit, Unit);
  }
}

// Interleaves cache-sized pieces, so that a line of the panel is written whole before it leaves the cache.
template <size_t Unit>
void interleave_pieces(const PanelRows& rows, size_t steps, std::byte* to) {
  constexpr size_t piece = 64;
  for (size_t s = 0; s < steps; s += piece) {
    interleave<Unit>(rows, s * Unit, std::min(piece, steps - s), to + s * panel_rows * Unit);
  }
}

void pack_bf16(const PanelRows& rows, size_t cols, std::byte* to) {
  interleave_pieces<4>(rows, cols / 2, to);
  if (cols % 2 == 0) return;
  std::byte* last = to + cols / 2 * panel_rows * 4;
  std::memset(last, 0, panel_rows * 4);
  for (size_t r = 0; r < rows.count; ++r) std::memcpy(last + r * 4, rows.row(r) + (cols - 1) * 2, 2);
}

size_t used_panel_bytes(DType type, size_t cols) {
  // A pair of BF16 columns shares a step.
  const size_t stored_cols = type == DType::bf16 ? checked_add(cols, cols % 2, "columns") : cols;
  return checked_mul(row_bytes(type, stored_cols), panel_rows, "bytes of a panel");
}

void pack_panel(DType type, const PanelRows& rows, size_t cols, std::byte* to) {
  switch (type) {
    case DType::f32:
      return interleave_pieces<4>(rows, cols, to);
    case DType::f16:
      return interleave_pieces<2>(rows, cols, to);
    case DType::bf16:
      return pack_bf16(rows, cols, to);
    default:
      return pack_block_panel(type, rows, cols, to);
  }
}

}  // namespace

bool needs_quantized(DType type) {
  return traits(type).block_size > 1;
}

size_t packed_panel_bytes(DType type, size_t cols) {
  return round_up(used_panel_bytes(type, cols), layout::panel_alignment);
}

size_t packed_bytes(DType type, size_t rows, size_t cols) {
  const size_t panels = rows / panel_rows + (rows % panel_rows != 0);
  return checked_mul(panels, packed_panel_bytes(type, cols), "bytes of a packed matrix");
}

void pack(DType type, const std::byte* rows_data, size_t rows, size_t cols, std::byte* to) {
  pack_panels(type, rows_data, rows, cols, 0, rows / panel_rows + (rows % panel_rows != 0), to);
}

void pack_panels(DType type, const std::byte* rows_data, size_t rows, size_t cols, size_t panel_begin,
                 size_t panel_end, std::byte* to) {
  if (cols == 0) return;
  const size_t panel_bytes = packed_panel_bytes(type, cols);
  const size_t used = used_panel_bytes(type, cols);
  const size_t file_row = row_bytes(type, cols);
  for (size_t p = panel_begin; p < panel_end; ++p) {
    const size_t first = p * panel_rows;
    std::byte* panel = to + p * panel_bytes;
    pack_panel(type, {rows_data + first * file_row, file_row, std::min(panel_rows, rows - first)}, cols,
               panel);
    std::memset(panel + used, 0, panel_bytes - used);
  }
}

}  // namespace tern
