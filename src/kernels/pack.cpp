#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "kernels/kernels.h"
#include "kernels/layout.h"

namespace tern {
namespace {

using layout::panel_rows;
using layout::q8_block;
using layout::q8_group;

static_assert(kPanelRows == layout::panel_rows);

// The rows of one panel as they lie in the file.
struct PanelRows {
  const std::byte* data;
  size_t row_bytes;
  size_t count;  // 1 to 16

  const std::byte* row(size_t r) const { return data + r * row_bytes; }
};

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

void pack_q8(const PanelRows& rows, size_t cols, std::byte* to) {
  constexpr size_t file_block = 2 + q8_block;
  const size_t blocks = cols / q8_block;
  std::byte* scales = to + blocks * layout::q8_quants_bytes;
  for (size_t b = 0; b < blocks; ++b) {
    interleave<q8_group>(rows, b * file_block + 2, q8_block / q8_group, to + b * layout::q8_quants_bytes);
    interleave<2>(rows, b * file_block, 1, scales + b * layout::q8_scales_bytes);
  }
}

size_t used_panel_bytes(DType type, size_t cols) {
  switch (type) {
    case DType::f32:
      return checked_mul(cols, panel_rows * 4, "bytes of a panel");
    case DType::f16:
      return checked_mul(cols, panel_rows * 2, "bytes of a panel");
    case DType::bf16:
      return checked_mul(cols / 2 + cols % 2, panel_rows * 4, "bytes of a panel");
    case DType::q8_0:
      return checked_mul(row_bytes(type, cols), panel_rows, "bytes of a panel");
    default:
      break;
  }
  fail(ErrorKind::unsupported, "packing {}", ggml_type_name(static_cast<uint32_t>(type)));
}

void pack_panel(DType type, const PanelRows& rows, size_t cols, std::byte* to) {
  switch (type) {
    case DType::f32:
      return interleave_pieces<4>(rows, cols, to);
    case DType::f16:
      return interleave_pieces<2>(rows, cols, to);
    case DType::bf16:
      return pack_bf16(rows, cols, to);
    case DType::q8_0:
      return pack_q8(rows, cols, to);
    default:  // refused by used_panel_bytes
      break;
  }
}

}  // namespace

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
