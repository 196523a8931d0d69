#include "kernels/pack_blocks.h"

#include <cstring>

#include "base/error.h"
#include "quant/blocks.h"

namespace tern {
namespace {

using layout::BlockLayout;
using layout::group_bytes;
using layout::halves_bytes;
using layout::panel_rows;
using layout::part_groups;

template <typename Block>
constexpr BlockLayout layout_of() {
  switch (Block::type) {
    case DType::q4_0:
      return layout::q4_0;
    case DType::q4_1:
      return layout::q4_1;
    case DType::q5_0:
      return layout::q5_0;
    case DType::q5_1:
      return layout::q5_1;
    case DType::q8_0:
      return layout::q8_0;
    case DType::iq4_nl:
      return layout::iq4_nl;
    case DType::mxfp4:
      return layout::mxfp4;
    case DType::q2_k:
      return layout::q2_k;
    case DType::q3_k:
      return layout::q3_k;
    case DType::q4_k:
      return layout::q4_k;
    case DType::q5_k:
      return layout::q5_k;
    case DType::q6_k:
      return layout::q6_k;
    default:
      return layout::iq4_xs;
  }
}

using Groups = uint32_t[part_groups];  // four quants to a word

// quants() of blocks.h, four at a time: byte by byte, the compiler widens each to an int.
template <typename Block>
void groups_of(const Block& block, size_t part, Groups& to) {
  uint8_t q[kPart];
  quants(block, part, q);
  std::memcpy(to, q, sizeof q);
}

uint32_t group(const uint8_t* bytes, size_t g, size_t shift, uint32_t mask) {
  uint32_t word;
  std::memcpy(&word, bytes + g * 4, 4);
  return word >> shift & 0x01010101u * mask;
}

template <typename Block>
requires(Block::type == DType::q4_0 || Block::type == DType::q4_1 || Block::type == DType::iq4_nl ||
         Block::type == DType::mxfp4 ||
         Block::type == DType::iq4_xs) void groups_of(const Block& block, size_t part, Groups& to) {
  const uint8_t* qs = block.qs + part * kPart / 2;
  for (size_t g = 0; g < part_groups; ++g) to[g] = group(qs, g % 4, g / 4 * 4, 15);
}
void groups_of(const BlockQ2_K& block, size_t part, Groups& to) {
  for (size_t g = 0; g < part_groups; ++g) to[g] = group(block.qs + part / 4 * kPart, g, part % 4 * 2, 3);
}
void groups_of(const BlockQ3_K& block, size_t part, Groups& to) {
  for (size_t g = 0; g < part_groups; ++g) {
    to[g] = group(block.qs + part / 4 * kPart, g, part % 4 * 2, 3) | group(block.hmask, g, part, 1) << 2;
  }
}
void groups_of(const BlockQ4_K& block, size_t part, Groups& to) {
  for (size_t g = 0; g < part_groups; ++g) to[g] = group(block.qs + part / 2 * kPart, g, part % 2 * 4, 15);
}
void groups_of(const BlockQ5_K& block, size_t part, Groups& to) {
  for (size_t g = 0; g < part_groups; ++g) {
    to[g] = group(block.qs + part / 2 * kPart, g, part % 2 * 4, 15) | group(block.qh, g, part, 1) << 4;
  }
}
void groups_of(const BlockQ6_K& block, size_t part, Groups& to) {
  const uint8_t *low = block.ql + part / 4 * 64 + part % 2 * kPart, *high = block.qh + part / 4 * kPart;
  for (size_t g = 0; g < part_groups; ++g)
    to[g] = group(low, g, part % 4 / 2 * 4, 15) | group(high, g, part % 4 * 2, 3) << 4;
}

// Row r of a plane of Bits bits that are bits [Shift, Shift + Bits) of the part's quants, four to a word.
template <size_t Bits, size_t Shift>
void pack_plane(const Groups& groups, size_t r, std::byte* to) {
  constexpr size_t per_byte = 8 / Bits;
  constexpr uint32_t mask = 0x01010101u * ((1u << Bits) - 1);
  for (size_t vector = 0; vector < Bits; ++vector) {
    uint32_t word = 0;
    for (size_t i = 0; i < per_byte; ++i) {
      word |= (groups[vector * per_byte + i] >> Shift & mask) << (Bits * i);
    }
    std::memcpy(to + vector * group_bytes + r * 4, &word, 4);
  }
}

// Row r of one part.
template <typename Block>
void pack_part(const Block& block, size_t part, size_t r, std::byte* to) {
  constexpr BlockLayout l = layout_of<Block>();
  Groups groups;
  groups_of(block, part, groups);
  pack_plane<l.low_bits, 0>(groups, r, to);
  if constexpr (l.high_bits > 0)
    pack_plane<l.high_bits, l.low_bits>(groups, r, to + l.low_bits * group_bytes);
}

// Row r of a record. Fields are [16 rows].
struct Record {
  std::byte* at;
  size_t r;

  void half(size_t field, uint16_t bits) const { std::memcpy(at + field * halves_bytes + r * 2, &bits, 2); }
  void byte(size_t offset, size_t field, int value) const {
    at[offset + field * panel_rows + r] = static_cast<std::byte>(value);
  }
};

// N numbers of 6 bits, number(n) each.
template <size_t N, typename Number>
void pack_sixes(const Record& record, size_t offset, const Number& number) {
  for (size_t j = 0; j < N / 2; ++j) {
    record.byte(offset, j, (number(2 * j) & 15) | (number(2 * j + 1) & 15) << 4);
  }
  for (size_t j = 0; j < N / 4; ++j) {
    int upper = 0;
    for (size_t i = 0; i < 4; ++i) upper |= number(4 * j + i) >> 4 << (2 * i);
    record.byte(offset, N / 2 + j, upper);
  }
}

template <typename Block>
void pack_record(const Block& block, const Record& record) {
  record.half(0, block.d);
}
void pack_record(const BlockMXFP4& block, const Record& record) {
  record.byte(0, 0, block.e);
}
void pack_record(const BlockQ4_1& block, const Record& record) {
  record.half(0, block.d);
  record.half(1, block.m);
}
void pack_record(const BlockQ5_1& block, const Record& record) {
  record.half(0, block.d);
  record.half(1, block.m);
}
void pack_record(const BlockQ2_K& block, const Record& record) {
  record.half(0, block.d);
  record.half(1, block.dmin);
  for (size_t sub = 0; sub < 16; ++sub) record.byte(2 * halves_bytes, sub, block.scales[sub]);
}
void pack_record(const BlockQ3_K& block, const Record& record) {
  record.half(0, block.d);
  pack_sixes<16>(record, halves_bytes, [&](size_t n) { return stored_scale(block, n); });
}
template <typename Block>
void pack_scale_min(const Block& block, const Record& record) {
  record.half(0, block.d);
  record.half(1, block.dmin);
  pack_sixes<16>(record, 2 * halves_bytes, [&](size_t n) {
    const ScaleMin s = scale_min(block.scales, n / 2);
    return n % 2 == 0 ? s.scale : s.min;
  });
}
void pack_record(const BlockQ4_K& block, const Record& record) {
  pack_scale_min(block, record);
}
void pack_record(const BlockQ5_K& block, const Record& record) {
  pack_scale_min(block, record);
}
void pack_record(const BlockQ6_K& block, const Record& record) {
  record.half(0, block.d);
  for (size_t sub = 0; sub < 16; ++sub) record.byte(halves_bytes, sub, block.scales[sub]);
}
void pack_record(const BlockIQ4_XS& block, const Record& record) {
  record.half(0, block.d);
  pack_sixes<8>(record, halves_bytes, [&](size_t n) { return stored_scale(block, n); });
}

template <typename Block>
Block block_of(const PanelRows& rows, size_t r, size_t unit) {
  if (r >= rows.count) return {};
  Block block;
  std::memcpy(&block, rows.row(r) + unit * sizeof(Block), sizeof block);
  return block;
}

template <typename Block>
void pack_panel(const PanelRows& rows, size_t cols, std::byte* to) {
  constexpr BlockLayout l = layout_of<Block>();
  constexpr size_t part_bytes = (l.low_bits + l.high_bits) * group_bytes;
  static_assert(l.unit_parts * kPart == Block::size);
  static_assert(l.unit_parts * part_bytes + l.record_bytes == panel_rows * sizeof(Block));
  std::byte* records = to + panel_quants_bytes(l, cols);
  for (size_t unit = 0; unit < cols / Block::size; ++unit) {
    for (size_t r = 0; r < panel_rows; ++r) {
      const Block block = block_of<Block>(rows, r, unit);
      for (size_t part = 0; part < l.unit_parts; ++part) {
        pack_part(block, part, r, to + (unit * l.unit_parts + part) * part_bytes);
      }
      pack_record(block, {records + unit * l.record_bytes, r});
    }
  }
}

}  // namespace

const BlockLayout& block_layout(DType type) {
  const BlockLayout* found = nullptr;
  visit_block(type, [&]<typename Block>(Block) {
    static constexpr BlockLayout l = layout_of<Block>();
    found = &l;
  });
  if (found == nullptr) fail(ErrorKind::internal, "{} has no blocks", traits(type).name);
  return *found;
}

void pack_block_panel(DType type, const PanelRows& rows, size_t cols, std::byte* to) {
  visit_block(type, [&]<typename Block>(Block) { pack_panel<Block>(rows, cols, to); });
}

}  // namespace tern
