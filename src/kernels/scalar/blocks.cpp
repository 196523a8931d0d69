#include "kernels/scalar/blocks.h"

#include <cmath>
#include <cstring>

#include "kernels/layout.h"
#include "kernels/pack_blocks.h"
#include "quant/blocks.h"

namespace tern {
namespace {

using layout::BlockLayout;
using layout::halves_bytes;
using layout::panel_rows;
using layout::part_cols;

// One row of one panel.
struct Row {
  DType type;
  const BlockLayout& l;
  const std::byte* quants;
  const std::byte* records;
  size_t r;

  const std::byte* record(size_t part) const { return records + part / l.unit_parts * l.record_bytes; }
};

// The row's bits of a plane, column k of a part.
int plane_bits(const std::byte* plane, size_t bits, size_t r, size_t k) {
  const size_t group = k / layout::group_cols, per_byte = 8 / bits;
  const std::byte byte = plane[group / per_byte * layout::group_bytes + r * 4 + k % layout::group_cols];
  return std::to_integer<int>(byte) >> (bits * (group % per_byte)) & ((1 << bits) - 1);
}

// The integer that column k of a part stands for.
int weight_integer(const Row& row, size_t part, size_t k) {
  const BlockLayout& l = row.l;
  const std::byte* at = row.quants + part * (l.low_bits + l.high_bits) * layout::group_bytes;
  int q = plane_bits(at, l.low_bits, row.r, k);
  if (l.high_bits > 0) {
    q |= plane_bits(at + l.low_bits * layout::group_bytes, l.high_bits, row.r, k) << l.low_bits;
  }
  switch (row.type) {
    case DType::q4_0:
      return q - 8;
    case DType::q5_0:
      return q - 16;
    case DType::q8_0:
      return static_cast<int8_t>(q);
    case DType::q3_k:
      return q - 4;
    case DType::q6_k:
      return q - 32;
    case DType::iq4_nl:
    case DType::iq4_xs:
      return iq4_values[q];
    case DType::mxfp4:
      return mxfp4_values[q];
    default:
      return q;
  }
}

// Fields of a record, [16 rows] each.
float half_field(const Row& row, size_t part, size_t field) {
  uint16_t bits;
  std::memcpy(&bits, row.record(part) + field * halves_bytes + row.r * 2, 2);
  return f16_to_f32(bits);
}
int byte_field(const Row& row, size_t part, size_t offset, size_t field) {
  return std::to_integer<int>(row.record(part)[offset + field * panel_rows + row.r]);
}
// Number n of `count` sixes.
int six(const Row& row, size_t part, size_t offset, size_t count, size_t n) {
  const int low = byte_field(row, part, offset, n / 2) >> (n % 2 * 4) & 15;
  const int high = byte_field(row, part, offset, count / 2 + n / 4) >> (n % 4 * 2) & 3;
  return low | high << 4;
}

size_t sub_blocks_a_part(DType type) {
  return type == DType::q2_k || type == DType::q3_k || type == DType::q6_k ? 2 : 1;
}

struct Factors {
  float scale;
  bool has_offset = false;
  float offset = 0;
};

// Of sub-block `sub` of the part.
Factors factors(const Row& row, size_t part, size_t sub) {
  const size_t in_unit = part % row.l.unit_parts;
  if (row.type == DType::mxfp4) return {mxfp4_scale(static_cast<uint8_t>(byte_field(row, part, 0, 0)))};
  const float d = half_field(row, part, 0);
  const auto scaled = [](float by, int integer) { return by * static_cast<float>(integer); };
  switch (row.type) {
    case DType::q4_1:
    case DType::q5_1:
      return {d, true, half_field(row, part, 1)};
    case DType::q2_k: {
      const int both = byte_field(row, part, 2 * halves_bytes, in_unit * 2 + sub);
      return {scaled(d, both & 15), true, -scaled(half_field(row, part, 1), both >> 4)};
    }
    case DType::q3_k:
      return {scaled(d, six(row, part, halves_bytes, 16, in_unit * 2 + sub) - 32)};
    case DType::q4_k:
    case DType::q5_k: {
      const int scale = six(row, part, 2 * halves_bytes, 16, in_unit * 2);
      const int min = six(row, part, 2 * halves_bytes, 16, in_unit * 2 + 1);
      return {scaled(d, scale), true, -scaled(half_field(row, part, 1), min)};
    }
    case DType::q6_k:
      return {scaled(d, static_cast<int8_t>(byte_field(row, part, halves_bytes, in_unit * 2 + sub)))};
    case DType::iq4_xs:
      return {scaled(d, six(row, part, halves_bytes, 8, in_unit) - 32)};
    default:
      return {d};
  }
}

}  // namespace

float scalar_block_dot(const PackedMatrix& w, const std::byte* panel, size_t r, const int8_t* q,
                       const float* scales, const int32_t* sums, float y) {
  const BlockLayout& l = block_layout(w.type);
  const Row row = {w.type, l, panel, panel + panel_quants_bytes(l, w.cols), r};
  const size_t subs = sub_blocks_a_part(w.type), sub_cols = part_cols / subs;
  for (size_t part = 0; part < w.cols / part_cols; ++part) {
    for (size_t sub = 0; sub < subs; ++sub) {
      int32_t products = 0;
      for (size_t k = sub * sub_cols; k < (sub + 1) * sub_cols; ++k) {
        products += weight_integer(row, part, k) * q[part * part_cols + k];
      }
      const Factors f = factors(row, part, sub);
      y = std::fma(static_cast<float>(products), f.scale * scales[part], y);
      if (!f.has_offset) continue;
      const int32_t sum = subs == 2 ? sums[2 * part + sub] : sums[2 * part] + sums[2 * part + 1];
      y = std::fma(static_cast<float>(sum) * scales[part], f.offset, y);
    }
  }
  return y;
}

}  // namespace tern
