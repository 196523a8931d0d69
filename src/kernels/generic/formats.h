// The block formats of packed panels (kernels/layout.h) for every instruction set: what a tile wants to know
// of a panel's parts of 32 columns. Included inside an instruction set's own namespace, after its simd.h.
//
// A format has
//   codes<G>(part)  four columns of 16 rows, a byte each: integers 0 .. most that mean code - zero, or signed
//   ones scales(part)    the scale of each of its sub-blocks (1 or 2 a part) and, with has_offset, their
//   offset

struct PartScales {
  Floats scale[2];
  Floats offset[2];
};

// Group G's bits of a plane, at `Shift` in each byte.
template <size_t Bits, size_t Shift, size_t G>
TERN_INLINE Ints plane_bits(const std::byte* plane) {
  constexpr size_t groups = 8 / Bits, right = G % groups * Bits;
  const Ints bytes = load_ints(plane + G / groups * layout::group_bytes);
  if constexpr (Bits == 8) {
    return bytes;
  } else {
    constexpr uint8_t mask = ((1 << Bits) - 1) << Shift;
    if constexpr (right > Shift) return and_bytes(shift_right<right - Shift>(bytes), mask);
    if constexpr (right < Shift) return and_bytes(shift_left<Shift - right>(bytes), mask);
    return and_bytes(bytes, mask);
  }
}

template <const layout::BlockLayout& L>
struct BlockPanel {
  static constexpr size_t unit_parts = L.unit_parts;
  static constexpr size_t part_bytes = (L.low_bits + L.high_bits) * layout::group_bytes;
  static constexpr bool is_signed = false;
  static constexpr bool has_offset = false;
  static constexpr size_t subs = 1;
  static constexpr int most = (1 << (L.low_bits + L.high_bits)) - 1;
  static constexpr int zero = 0;
  static constexpr bool zero_is_128 = false;

  const std::byte* quants;
  const std::byte* records;

  TERN_INLINE const std::byte* record(size_t part) const {
    return records + part / unit_parts * L.record_bytes;
  }
  template <size_t G>
  TERN_INLINE Ints codes(size_t part) const {
    const std::byte* at = quants + part * part_bytes;
    const Ints low = plane_bits<L.low_bits, 0, G>(at);
    if constexpr (L.high_bits == 0) {
      return low;
    } else {
      return or_ints(low, plane_bits<L.high_bits, L.low_bits, G>(at + L.low_bits * layout::group_bytes));
    }
  }
};

template <const layout::BlockLayout& L, int Zero>
struct ScaledPanel : BlockPanel<L> {
  static constexpr int zero = Zero;
  TERN_INLINE PartScales scales(size_t part) const { return {{load_f16(this->record(part))}, {}}; }
};
using PanelQ4_0 = ScaledPanel<layout::q4_0, 8>;
using PanelQ5_0 = ScaledPanel<layout::q5_0, 16>;

template <const layout::BlockLayout& L>
struct AffinePanel : BlockPanel<L> {
  static constexpr bool has_offset = true;
  TERN_INLINE PartScales scales(size_t part) const {
    const std::byte* at = this->record(part);
    return {{load_f16(at)}, {load_f16(at + layout::halves_bytes)}};
  }
};
using PanelQ4_1 = AffinePanel<layout::q4_1>;
using PanelQ5_1 = AffinePanel<layout::q5_1>;

struct PanelQ8_0 : BlockPanel<layout::q8_0> {
  static constexpr bool is_signed = true;
  TERN_INLINE PartScales scales(size_t part) const { return {{load_f16(record(part))}, {}}; }
};

struct PanelIQ4_NL : BlockPanel<layout::iq4_nl> {
  static constexpr bool is_signed = true;
  template <size_t G>
  TERN_INLINE Ints codes(size_t part) const {
    return lookup(BlockPanel::codes<G>(part), iq4_values);
  }
  TERN_INLINE PartScales scales(size_t part) const { return {{load_f16(record(part))}, {}}; }
};

// mxfp4_values from 0 on.
constexpr int8_t mxfp4_codes[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

struct PanelMXFP4 : BlockPanel<layout::mxfp4> {
  static constexpr int most = 24;
  static constexpr int zero = 12;
  template <size_t G>
  TERN_INLINE Ints codes(size_t part) const {
    return lookup(BlockPanel::codes<G>(part), mxfp4_codes);
  }
  // 2^(e - 128), in two factors as it may be a denormal.
  TERN_INLINE PartScales scales(size_t part) const {
    const Ints exponent = subtract(unsigned_ints(load_bytes(record(part))), broadcast_int(128));
    const Ints half = halve(exponent);
    return {{multiply(power_of_two(half), power_of_two(subtract(exponent, half)))}, {}};
  }
};

// Numbers 2j and 2j + 1 of N of 6 bits, j below N / 2.
struct Sixes {
  Bytes first, second;
};
template <size_t N>
TERN_INLINE Sixes load_sixes(const std::byte* at, size_t j) {
  const Bytes low = load_bytes(at + j * layout::panel_rows);
  const Bytes four = load_bytes(at + (N / 2 + j / 2) * layout::panel_rows);
  const Bytes high = shift_right(four, j % 2 * 4);
  return {or_bytes(and_bytes(low, 15), and_bytes(shift_left_4(high), 0x30)),
          or_bytes(and_bytes(shift_right(low, 4), 15), and_bytes(shift_left_2(high), 0x30))};
}

template <const layout::BlockLayout& L>
struct ScaleMinPanel : BlockPanel<L> {
  static constexpr bool has_offset = true;
  TERN_INLINE PartScales scales(size_t part) const {
    const std::byte* at = this->record(part);
    const Sixes s = load_sixes<16>(at + 2 * layout::halves_bytes, part % 8);
    const Floats min = multiply(load_f16(at + layout::halves_bytes), unsigned_floats(s.second));
    return {{multiply(load_f16(at), unsigned_floats(s.first))}, {negate(min)}};
  }
};
using PanelQ4_K = ScaleMinPanel<layout::q4_k>;
using PanelQ5_K = ScaleMinPanel<layout::q5_k>;

struct PanelQ2_K : BlockPanel<layout::q2_k> {
  static constexpr bool has_offset = true;
  static constexpr size_t subs = 2;
  TERN_INLINE PartScales scales(size_t part) const {
    const std::byte* at = record(part);
    const Floats d = load_f16(at), less = negate(load_f16(at + layout::halves_bytes));
    const std::byte* bytes = at + 2 * layout::halves_bytes + part % 8 * 2 * layout::panel_rows;
    PartScales result;
    for (size_t s = 0; s < 2; ++s) {
      const Bytes both = load_bytes(bytes + s * layout::panel_rows);
      result.scale[s] = multiply(d, unsigned_floats(and_bytes(both, 15)));
      result.offset[s] = multiply(less, unsigned_floats(and_bytes(shift_right(both, 4), 15)));
    }
    return result;
  }
};

struct PanelQ3_K : BlockPanel<layout::q3_k> {
  static constexpr size_t subs = 2;
  static constexpr int zero = 4;
  TERN_INLINE PartScales scales(size_t part) const {
    const std::byte* at = record(part);
    const Floats d = load_f16(at);
    const Sixes s = load_sixes<16>(at + layout::halves_bytes, part % 8);
    return {{multiply(d, signed_floats(subtract(s.first, 32))),
             multiply(d, signed_floats(subtract(s.second, 32)))},
            {}};
  }
};

struct PanelQ6_K : BlockPanel<layout::q6_k> {
  static constexpr size_t subs = 2;
  static constexpr int zero = 32;
  TERN_INLINE PartScales scales(size_t part) const {
    const std::byte* at = record(part);
    const Floats d = load_f16(at);
    const std::byte* bytes = at + layout::halves_bytes + part % 8 * 2 * layout::panel_rows;
    return {{multiply(d, signed_floats(load_bytes(bytes))),
             multiply(d, signed_floats(load_bytes(bytes + layout::panel_rows)))},
            {}};
  }
};

struct PanelIQ4_XS : BlockPanel<layout::iq4_xs> {
  static constexpr bool is_signed = true;
  template <size_t G>
  TERN_INLINE Ints codes(size_t part) const {
    return lookup(BlockPanel::codes<G>(part), iq4_values);
  }
  TERN_INLINE PartScales scales(size_t part) const {
    const std::byte* at = record(part);
    const Sixes s = load_sixes<8>(at + layout::halves_bytes, part % 8 / 2);
    const Bytes six = part % 2 == 0 ? s.first : s.second;
    return {{multiply(load_f16(at), signed_floats(subtract(six, 32)))}, {}};
  }
};

// A piece of a panel as it is used for many tokens: a byte a quant, floats for scales and offsets.
template <bool Signed, size_t Subs, bool HasOffset, int Most, bool ZeroIs128>
struct UnpackedPanel {
  static constexpr bool is_signed = Signed;
  static constexpr bool has_offset = HasOffset;
  static constexpr size_t subs = Subs;
  static constexpr int most = Most;
  static constexpr bool zero_is_128 = ZeroIs128;

  const std::byte* quants;  // [part][8 groups][16 rows][4]
  const float* factors;     // [part][scale, offset if any][sub][16 rows]
  int zero;

  static constexpr size_t part_bytes = layout::part_groups * layout::group_bytes;
  static constexpr size_t part_factors = (HasOffset ? 2 : 1) * Subs * layout::panel_rows;

  template <size_t G>
  TERN_INLINE Ints codes(size_t part) const {
    return load_ints(quants + part * part_bytes + G * layout::group_bytes);
  }
  TERN_INLINE PartScales scales(size_t part) const {
    const float* at = factors + part * part_factors;
    PartScales result;
    for (size_t s = 0; s < Subs; ++s) {
      result.scale[s] = load(at + s * layout::panel_rows);
      if constexpr (HasOffset) result.offset[s] = load(at + (Subs + s) * layout::panel_rows);
    }
    return result;
  }
};
