// Matrix products in tiles, for every instruction set: P panels x T tokens of sums stay in registers while
// the columns go by. Included inside an instruction set's own namespace, after its simd.h.
//
// Each sum is one chain of fused multiply-adds over the columns in order, in registers or through y (storing
// a float and loading it again changes nothing), so the tile a row falls into does not touch its bits.

// With at most so many tokens, weights are used straight from memory. With more they are unpacked once to
// floats, in pieces that stay in the second-level cache (128 KiB), and used for all tokens.
constexpr size_t few_tokens = 4;
constexpr size_t piece_cols = 256;
constexpr size_t group_panels = 8;

constexpr size_t smaller(size_t a, size_t b) {
  return a < b ? a : b;
}

// The next of the parts that cut `left` tokens into pieces of at most `most` and about the same size.
constexpr size_t next_part(size_t left, size_t most) {
  if (left <= most) return left;  // divisions take long beside a small panel
  const size_t parts = (left + most - 1) / most;
  return (left + parts - 1) / parts;
}

// Where a tile's sums go: {tokens, ld}, `last_rows` of the last panel's 16 rows; they start from what is
// there or 0.
struct Output {
  float* at;
  size_t ld;
  size_t last_rows;
  bool accumulate;
};

template <size_t P, size_t T>
TERN_INLINE void start_sums(Floats (&sums)[T][P], const Output& y) {
  for (size_t t = 0; t < T; ++t) {
    for (size_t p = 0; p < P; ++p) sums[t][p] = zero();
  }
  if (!y.accumulate) return;
  for (size_t t = 0; t < T; ++t) {
    for (size_t p = 0; p + 1 < P; ++p) sums[t][p] = load(y.at + t * y.ld + p * 16);
    sums[t][P - 1] = load_first(y.at + t * y.ld + (P - 1) * 16, y.last_rows);
  }
}

template <size_t P, size_t T>
TERN_INLINE void store_sums(const Floats (&sums)[T][P], const Output& y) {
  for (size_t t = 0; t < T; ++t) {
    float* row = y.at + t * y.ld;
    for (size_t p = 0; p + 1 < P; ++p) store(row + p * 16, sums[t][p]);
    if (y.last_rows == 16) {
      store(row + (P - 1) * 16, sums[t][P - 1]);
    } else {
      store_first(row + (P - 1) * 16, sums[t][P - 1], y.last_rows);
    }
  }
}

// One panel's columns as floats. `at` is the panel's first byte; k even or odd as the name says.
struct PackedF32 {
  static constexpr bool floats = true;
  const std::byte* at;
  static constexpr size_t bytes_of_cols(size_t cols) { return cols * 64; }
  Floats even(size_t k) const { return load(reinterpret_cast<const float*>(at + k * 64)); }
  Floats odd(size_t k) const { return even(k); }
};
struct PackedF16 {
  static constexpr bool floats = false;
  const std::byte* at;
  static constexpr size_t bytes_of_cols(size_t cols) { return cols * 32; }
  Floats even(size_t k) const { return load_f16(at + k * 32); }
  Floats odd(size_t k) const { return even(k); }
};
struct PackedBf16 {
  static constexpr bool floats = false;
  const std::byte* at;
  static constexpr size_t bytes_of_cols(size_t cols) { return cols * 32; }
  Floats even(size_t k) const { return load_bf16_even(at + k * 32); }
  Floats odd(size_t k) const { return load_bf16_odd(at + (k - 1) * 32); }
};

template <typename Columns, size_t P, size_t T>
TERN_NOINLINE void tile(const Columns* w, const float* x, size_t ldx, size_t cols, const Output& y) {
  Floats sums[T][P];
  start_sums(sums, y);
  const auto step = [&](size_t k, const Floats(&column)[P]) TERN_INLINE_LAMBDA {
    for (size_t t = 0; t < T; ++t) {
      const Floats activation = broadcast(x[t * ldx + k]);
      for (size_t p = 0; p < P; ++p) sums[t][p] = fused(activation, column[p], sums[t][p]);
    }
  };
  Floats column[P];
  size_t k = 0;
  for (; k + 2 <= cols; k += 2) {
    for (size_t p = 0; p < P; ++p) column[p] = w[p].even(k);
    step(k, column);
    for (size_t p = 0; p < P; ++p) column[p] = w[p].odd(k + 1);
    step(k + 1, column);
  }
  if (k < cols) {
    for (size_t p = 0; p < P; ++p) column[p] = w[p].even(k);
    step(k, column);
  }
  store_sums(sums, y);
}

// The tile for `tokens`, 1 to T.
template <typename Columns, size_t P, size_t T>
TERN_INLINE void tile_of(const Columns* w, const float* x, size_t ldx, size_t tokens, size_t cols,
                         const Output& y) {
  if (tokens == T) return tile<Columns, P, T>(w, x, ldx, cols, y);
  if constexpr (T > 1) tile_of<Columns, P, T - 1>(w, x, ldx, tokens, cols, y);
}

// A packed matrix of floats or halves. Rows that the last panel lacks are there as zeros.
template <typename Columns>
struct PackedPanels {
  const std::byte* data;
  size_t panel_bytes;
  size_t rows;

  size_t rows_of(size_t panel) const { return smaller(16, rows - panel * 16); }
  Columns at(size_t panel) const { return {data + panel * panel_bytes}; }
  // Columns k to k + n of a panel as packed floats, in `buffer` if they aren't floats already. k is even.
  PackedF32 piece(size_t panel, size_t k, size_t n, float* buffer) const {
    const Columns from = {data + panel * panel_bytes + Columns::bytes_of_cols(k)};
    if constexpr (Columns::floats) return from;
    for (size_t i = 0; i < n; ++i) store(buffer + i * 16, i % 2 == 0 ? from.even(i) : from.odd(i));
    return {reinterpret_cast<const std::byte*>(buffer)};
  }
};

struct Rows {
  const float* at;
  size_t ld;
  size_t count;
  size_t cols;
};

// y[t][panel rows] for P panels from `panel` on.
template <typename Columns>
TERN_INLINE Output output_of(const PackedPanels<Columns>& w, size_t panel, size_t panels, float* y,
                             size_t ldy, bool accumulate) {
  return {y + panel * 16, ldy, w.rows_of(panel + panels - 1), accumulate};
}

// Panels in groups of P, used where they lie, for T rows of x. Returns the first panel not done.
template <size_t P, size_t T, typename Columns>
TERN_INLINE size_t multiply_in_place(const PackedPanels<Columns>& w, const Rows& x, float* y, size_t ldy,
                                     bool accumulate, size_t panel, size_t panel_end) {
  for (; panel + P <= panel_end; panel += P) {
    Columns columns[P];
    for (size_t p = 0; p < P; ++p) columns[p] = w.at(panel + p);
    tile<Columns, P, T>(columns, x.at, x.ld, x.cols, output_of(w, panel, P, y, ldy, accumulate));
  }
  return panel;
}

// The same for x.count, 1 to T, rows: as many panels at once as that many rows leave registers for.
template <size_t T, typename Columns>
TERN_INLINE void multiply_few(const PackedPanels<Columns>& w, const Rows& x, float* y, size_t ldy,
                              bool accumulate, size_t panel, size_t panel_end) {
  if constexpr (T > 1) {
    if (x.count < T) return multiply_few<T - 1>(w, x, y, ldy, accumulate, panel, panel_end);
  }
  if constexpr (panels_at_once(T) > 1) {
    panel = multiply_in_place<panels_at_once(T), T>(w, x, y, ldy, accumulate, panel, panel_end);
  }
  multiply_in_place<1, T>(w, x, y, ldy, accumulate, panel, panel_end);
}

// One group of panels, columns k to k + cols, all tokens: a tile of tokens stays in the first-level cache
// while the group's panels stream past it from the second.
template <typename Columns>
TERN_INLINE void multiply_group(const PackedPanels<Columns>& w, const Rows& x, float* y, size_t ldy,
                                bool accumulate, size_t panel, size_t panels, size_t k, size_t cols,
                                float* buffer) {
  PackedF32 columns[group_panels];
  for (size_t p = 0; p < panels; ++p) columns[p] = w.piece(panel + p, k, cols, buffer + p * piece_cols * 16);
  for (size_t t = 0, part = 0; t < x.count; t += part) {
    part = next_part(x.count - t, float_tokens);
    const float* rows = x.at + t * x.ld + k;
    size_t p = 0;
    for (; p + float_panels <= panels; p += float_panels) {
      tile_of<PackedF32, float_panels, float_tokens>(
          columns + p, rows, x.ld, part, cols,
          output_of(w, panel + p, float_panels, y + t * ldy, ldy, accumulate));
    }
    for (; p < panels; ++p) {
      tile_of<PackedF32, 1, float_tokens>(columns + p, rows, x.ld, part, cols,
                                          output_of(w, panel + p, 1, y + t * ldy, ldy, accumulate));
    }
  }
}

template <typename Columns>
void multiply_in_pieces(const PackedPanels<Columns>& w, const Rows& x, float* y, size_t ldy, bool accumulate,
                        size_t panel_begin, size_t panel_end) {
  alignas(64) float buffer[group_panels * piece_cols * 16];
  size_t k = 0;
  do {
    const size_t cols = smaller(piece_cols, x.cols - k);
    for (size_t panel = panel_begin; panel < panel_end; panel += group_panels) {
      multiply_group(w, x, y, ldy, accumulate || k > 0, panel, smaller(group_panels, panel_end - panel), k,
                     cols, buffer);
    }
    k += cols;
  } while (k < x.cols);
}

template <typename Columns>
TERN_NOINLINE void multiply_panels(const PackedPanels<Columns>& w, const Rows& x, float* y, size_t ldy,
                                   bool accumulate, size_t panel, size_t panel_end) {
  if (x.count == 0) return;
  if (x.count <= few_tokens) {
    multiply_few<few_tokens>(w, x, y, ldy, accumulate, panel, panel_end);
  } else {
    multiply_in_pieces(w, x, y, ldy, accumulate, panel, panel_end);
  }
}
