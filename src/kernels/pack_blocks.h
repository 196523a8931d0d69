// Packing the block formats, for pack.cpp; the scalar kernel reads by the same description.
#pragma once

#include "kernels/layout.h"
#include "quant/types.h"

namespace tern {

/// Of a quantized type; throws Error{internal} for others.
const layout::BlockLayout& block_layout(DType type);

/// Where the records of a panel start.
inline size_t panel_quants_bytes(const layout::BlockLayout& l, size_t cols) {
  return cols / layout::part_cols * (l.low_bits + l.high_bits) * layout::group_bytes;
}

/// The rows of one panel as they lie in the file.
struct PanelRows {
  const std::byte* data;
  size_t row_bytes;
  size_t count;  ///< 1 to 16

  const std::byte* row(size_t r) const { return data + r * row_bytes; }
};

/// Packs one panel of a quantized type; absent rows become blocks of zero bytes.
void pack_block_panel(DType type, const PanelRows& rows, size_t cols, std::byte* to);

}  // namespace tern
