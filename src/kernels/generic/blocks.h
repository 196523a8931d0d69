// Matrix products of block formats with quantized activations, for every instruction set. Included inside an
// instruction set's own namespace, after its simd.h, generic/matmul.h and generic/formats.h.
//
// Inside a sub-block all is integer, so its order is free; the sub-blocks are summed in order in floats.

// Parts of a piece, a multiple of every unit: with scales at most 12 KiB a panel, 96 KiB a group of panels.
constexpr size_t piece_parts = 16;
constexpr size_t in_place_tokens = 2 * few_tokens;

// Rows of activations, `ld` columns apart.
struct Int8Rows {
  const int8_t* q;
  const float* scales;
  const int32_t* sums;
  const float* scaled_sums;
  const int32_t* starts;
  size_t ld;

  const int8_t* group(size_t t, size_t part, size_t g) const {
    return q + t * ld + part * layout::part_cols + g * layout::group_cols;
  }
  float scale(size_t t, size_t part) const { return scales[t * (ld / layout::part_cols) + part]; }
  float scaled_sum(size_t t, size_t part) const { return scaled_sums[t * (ld / layout::part_cols) + part]; }
  // Of a part's halves, both for a format of one sub-block a part.
  template <size_t Subs, size_t Sub>
  int32_t sum(size_t t, size_t part) const {
    const int32_t* halves = sums + t * (ld / layout::half_part) + 2 * part;
    return Subs == 2 ? halves[Sub] : halves[0] + halves[1];
  }
  // -128 times the same.
  template <size_t Subs, size_t Sub>
  int32_t start(size_t t, size_t part) const {
    return starts[3 * (t * (ld / layout::part_cols) + part) + (Subs == 2 ? Sub : 2)];
  }
};

// The rows from token t on, from a part on.
TERN_INLINE Int8Rows int8_rows(const ActivationRows& x, size_t t, size_t part) {
  const size_t first = t * (x.cols / layout::part_cols) + part;
  return {x.q_data + first * layout::part_cols,
          x.scale_data + first,
          x.sum_data + 2 * first,
          x.scaled_sum_data + first,
          x.start_data + 3 * first,
          x.cols};
}

// Sums that start at -128 times those of the activations: of signed codes where products want unsigned ones,
// and of all panels without an offset that are unpacked for them.
template <typename Format>
constexpr bool zero_is_128 = Format::is_signed ? signed_zero == 128 : Format::zero_is_128;

template <typename Format>
constexpr size_t groups_at_once = groups_in_words(Format::is_signed ? 128 : Format::most);

// Groups [G, End) of products into partial sums.
template <size_t G, size_t End, typename Format, size_t P, size_t T>
TERN_INLINE void add_groups(const Format* w, const Int8Rows& x, size_t part, Ints (&partial)[T][P]) {
  if constexpr (G < End) {
    Factor<Format::is_signed> factors[P];
    for (size_t p = 0; p < P; ++p) factors[p] = factor_of<Format::is_signed>(w[p].template codes<G>(part));
    for (size_t t = 0; t < T; ++t) {
      const auto four = broadcast_four(x.group(t, part, G));
      for (size_t p = 0; p < P; ++p) partial[t][p] = add_products(partial[t][p], factors[p], four);
    }
    add_groups<G + 1, End>(w, x, part, partial);
  }
}

// The same into whole sums, as many groups at once as partial sums hold.
template <size_t G, size_t End, typename Format, size_t P, size_t T>
TERN_INLINE void add_dots(const Format* w, const Int8Rows& x, size_t part, Ints (&dots)[T][P]) {
  if constexpr (G < End) {
    constexpr size_t next = smaller(End, G + groups_at_once<Format>);
    Ints partial[T][P];
    for (size_t t = 0; t < T; ++t) {
      for (size_t p = 0; p < P; ++p) partial[t][p] = start_partial(dots[t][p]);
    }
    add_groups<G, next>(w, x, part, partial);
    for (size_t t = 0; t < T; ++t) {
      for (size_t p = 0; p < P; ++p) dots[t][p] = end_partial(dots[t][p], partial[t][p]);
    }
    add_dots<next, End>(w, x, part, dots);
  }
}

// One sub-block of a part.
template <size_t Sub, typename Format, size_t P, size_t T>
TERN_INLINE void add_sub_block(const Format* w, const Int8Rows& x, size_t part, const PartScales (&scales)[P],
                               Floats (&sums)[T][P]) {
  constexpr size_t groups = layout::part_groups / Format::subs;
  Ints dots[T][P];
  for (size_t t = 0; t < T; ++t) {
    // Where there is an offset it holds the zero, too.
    if constexpr (zero_is_128<Format>) {
      const Ints start = broadcast_int(x.template start<Format::subs, Sub>(t, part));
      for (size_t p = 0; p < P; ++p) dots[t][p] = start;
    } else {
      const int32_t sum =
          Format::has_offset || Format::is_signed ? 0 : x.template sum<Format::subs, Sub>(t, part);
      for (size_t p = 0; p < P; ++p) dots[t][p] = broadcast_int(-w[p].zero * sum);
    }
  }
  add_dots<Sub * groups, (Sub + 1) * groups>(w, x, part, dots);
  for (size_t t = 0; t < T; ++t) {
    const float scale = x.scale(t, part);
    for (size_t p = 0; p < P; ++p) {
      sums[t][p] = fused(to_floats(dots[t][p]), multiply(scales[p].scale[Sub], broadcast(scale)), sums[t][p]);
    }
    if constexpr (Format::has_offset) {
      const float sum = Format::subs == 1
                            ? x.scaled_sum(t, part)
                            : static_cast<float>(x.template sum<Format::subs, Sub>(t, part)) * scale;
      for (size_t p = 0; p < P; ++p) sums[t][p] = fused(broadcast(sum), scales[p].offset[Sub], sums[t][p]);
    }
  }
}

// Where panels come from memory their quants are fetched so far ahead, at their end what lies behind them:
// the scales. (1 to 4 KiB measured the same; fetching scales so, too, is 8% slower.)
constexpr size_t bytes_ahead = 1024;

template <typename Format, size_t P, size_t T, bool FromMemory>
TERN_NOINLINE void block_tile(const Format* w, const Int8Rows& x, size_t parts, const Output& y) {
  Floats sums[T][P];
  start_sums(sums, y);
  for (size_t part = 0; part < parts; ++part) {
    if constexpr (FromMemory) {
      for (size_t line = 0; line < Format::part_bytes; line += 64)
        __builtin_prefetch(w[0].quants + part * Format::part_bytes + bytes_ahead + line);
    }
    PartScales scales[P];
    for (size_t p = 0; p < P; ++p) scales[p] = w[p].scales(part);
    add_sub_block<0>(w, x, part, scales, sums);
    if constexpr (Format::subs == 2) add_sub_block<1>(w, x, part, scales, sums);
  }
  store_sums(sums, y);
}

// The tile for `tokens`, 1 to T.
template <typename Format, size_t P, size_t T, bool FromMemory = false>
TERN_INLINE void block_tile_of(const Format* w, const Int8Rows& x, size_t tokens, size_t parts,
                               const Output& y) {
  if (tokens == T) return block_tile<Format, P, T, FromMemory>(w, x, parts, y);
  if constexpr (T > 1) block_tile_of<Format, P, T - 1, FromMemory>(w, x, tokens, parts, y);
}

// The quants of a piece of some panels, fetched into the second-level cache, a few lines after each tile of
// the group before: a core alone waits long for memory, and what it fetches beside its products costs
// nothing.
struct Fetching {
  const std::byte* at;
  size_t panel_bytes, piece_bytes, lines_a_tile, panels;
  size_t done = 0;  // bytes of the panel at `at`

  TERN_INLINE void tile_done() {
    for (size_t line = 0; line < lines_a_tile && panels > 0; ++line) {
      __builtin_prefetch(at + done, 0, 2);
      done += 64;
      if (done < piece_bytes) continue;
      done = 0;
      at += panel_bytes;
      --panels;
    }
  }
};

template <typename Format>
struct BlockPanels {
  const std::byte* data;
  size_t panel_bytes;
  size_t rows, cols;

  // From a part on that starts a unit.
  TERN_INLINE Format at(size_t panel, size_t part) const {
    const std::byte* start = data + panel * panel_bytes;
    Format result;
    result.quants = start + part * Format::part_bytes;
    result.records = start + cols / layout::part_cols * Format::part_bytes;
    result.records = result.record(part);
    return result;
  }
  // What a call for panels [begin, end) unpacks next, at `panel` of the pieces at `part`; none at its end.
  TERN_INLINE Fetching next_group(size_t panel, size_t part, size_t begin, size_t end) const {
    const size_t all_parts = cols / layout::part_cols;
    if (panel == end) {
      panel = begin;
      part += piece_parts;
    }
    if (part >= all_parts) return {data, panel_bytes, 0, 0, 0};
    const size_t parts = smaller(piece_parts, all_parts - part);
    return {data + panel * panel_bytes + part * Format::part_bytes, panel_bytes, parts * Format::part_bytes,
            0, smaller(group_panels, end - panel)};
  }
  TERN_INLINE Output output(size_t panel, size_t panels, float* y, size_t ldy, bool accumulate) const {
    return {y + panel * 16, ldy, smaller(16, rows - (panel + panels - 1) * 16), accumulate};
  }
};

// What many tokens use of a format: its panels unpacked, or as they lie where a quant is a byte there.
template <typename Format>
struct Unpacking {
  static constexpr bool to_128 = signed_zero == 128 && !Format::has_offset;
  using Panel = UnpackedPanel<Format::is_signed && !to_128, Format::subs, Format::has_offset,
                              unpacked_most(Format::is_signed ? 128 : Format::most), to_128>;
  struct alignas(64) Buffer {
    std::byte quants[piece_parts * Panel::part_bytes];
    float factors[piece_parts * Panel::part_factors];
  };

  template <size_t G = 0>
  static TERN_INLINE void unpack_codes(const Format& from, size_t part, std::byte* to) {
    if constexpr (G < layout::part_groups) {
      Ints codes = from.template codes<G>(part);
      if constexpr (to_128) codes = add_bytes(codes, 128 - Format::zero);
      store_ints(to + G * layout::group_bytes, codes);
      unpack_codes<G + 1>(from, part, to);
    }
  }
  static TERN_NOINLINE Panel unpacked(const Format& from, size_t parts, Buffer& buffer) {
    for (size_t part = 0; part < parts; ++part) {
      unpack_codes(from, part, buffer.quants + part * Panel::part_bytes);
      const PartScales scales = from.scales(part);
      float* factors = buffer.factors + part * Panel::part_factors;
      for (size_t s = 0; s < Format::subs; ++s) {
        store(factors + s * layout::panel_rows, scales.scale[s]);
        if constexpr (Format::has_offset)
          store(factors + (Format::subs + s) * layout::panel_rows, scales.offset[s]);
      }
    }
    return {buffer.quants, buffer.factors, Format::zero};
  }
};
template <>
struct Unpacking<PanelQ8_0> {
  using Panel = PanelQ8_0;
  struct Buffer {};
  static TERN_INLINE Panel unpacked(const PanelQ8_0& from, size_t /*parts*/, Buffer& /*buffer*/) {
    return from;
  }
};

// One group of panels, parts [part, part + parts), all tokens: a tile of tokens stays in the first-level
// cache while the group's panels stream past it from the second.
template <typename Panel>
TERN_INLINE void multiply_block_group(const Panel* columns, const ActivationRows& x, size_t panels,
                                      size_t part, size_t parts, const Output& y, Fetching next) {
  const size_t tiles = (x.tokens + q8_tokens - 1) / q8_tokens * ((panels + q8_panels - 1) / q8_panels);
  next.lines_a_tile = (next.panels * (next.piece_bytes / 64) + tiles - 1) / tiles;
  for (size_t t = 0, count = 0; t < x.tokens; t += count) {
    count = next_part(x.tokens - t, q8_tokens);
    const Int8Rows rows = int8_rows(x, t, part);
    const auto output = [&](size_t p, size_t of) {
      return Output{y.at + t * y.ld + p * 16, y.ld, p + of == panels ? y.last_rows : 16, y.accumulate};
    };
    size_t p = 0;
    for (; p + q8_panels <= panels; p += q8_panels) {
      block_tile_of<Panel, q8_panels, q8_tokens>(columns + p, rows, count, parts, output(p, q8_panels));
      next.tile_done();
    }
    for (; p < panels; ++p) {
      block_tile_of<Panel, 1, q8_tokens>(columns + p, rows, count, parts, output(p, 1));
      next.tile_done();
    }
  }
}

template <typename Format>
TERN_NOINLINE void multiply_blocks_in_pieces(const BlockPanels<Format>& w, const ActivationRows& x, float* y,
                                             size_t ldy, size_t panel_begin, size_t panel_end,
                                             bool accumulate) {
  using Pieces = Unpacking<Format>;
  typename Pieces::Buffer buffers[group_panels];
  const size_t all_parts = w.cols / layout::part_cols;
  size_t part = 0;
  do {
    const size_t parts = smaller(piece_parts, all_parts - part);
    for (size_t panel = panel_begin; panel < panel_end; panel += group_panels) {
      const size_t panels = smaller(group_panels, panel_end - panel);
      typename Pieces::Panel columns[group_panels];
      for (size_t p = 0; p < panels; ++p)
        columns[p] = Pieces::unpacked(w.at(panel + p, part), parts, buffers[p]);
      multiply_block_group(columns, x, panels, part, parts,
                           w.output(panel, panels, y, ldy, accumulate || part > 0),
                           w.next_group(panel + panels, part, panel_begin, panel_end));
    }
    part += parts;
  } while (part < all_parts);
}

// Few tokens use the packed panels where they lie. Beyond one tile of them a panel's bits are taken apart
// once more for each, out of the first-level cache, which for two tiles costs less than unpacking it.
template <typename Format>
void multiply_blocks(const PackedMatrix& matrix, size_t panel_bytes, const ActivationRows& x, float* y,
                     size_t ldy, size_t panel_begin, size_t panel_end, bool accumulate) {
  const BlockPanels<Format> w = {matrix.data, panel_bytes, matrix.rows, matrix.cols};
  if (x.tokens > in_place_tokens)
    return multiply_blocks_in_pieces(w, x, y, ldy, panel_begin, panel_end, accumulate);
  for (size_t panel = panel_begin; panel < panel_end; ++panel) {
    const Format columns = w.at(panel, 0);
    const Output output = w.output(panel, 1, y, ldy, accumulate);
    for (size_t t = 0, count = 0; t < x.tokens; t += count) {
      count = next_part(x.tokens - t, few_tokens);
      block_tile_of<Format, 1, few_tokens, true>(&columns, int8_rows(x, t, 0), count,
                                                 w.cols / layout::part_cols,
                                                 {output.at + t * ldy, ldy, output.last_rows, accumulate});
    }
  }
}
