// BF16 matrix products by VDPBF16PS: two columns of 16 rows a step, P panels x T tokens in registers. The
// tokens' activations are rounded to bf16 pairs once a tile of tokens and group of panels. As in avx512.cpp,
// nothing here has external linkage but the one function.
#include <cstddef>
#include <cstdint>

#include "kernels/avx512/bf16.h"
#include "kernels/avx512/intrinsics.h"
#include "kernels/layout.h"

namespace tern {
namespace {

// clang-format off
#include "kernels/avx2/bytes.h"
#include "kernels/avx512/simd.h"
#include "kernels/generic/matmul.h"
// clang-format on

// Pairs of columns of a piece: 16 KiB of weights a panel, and 12 KiB of rounded activations.
constexpr size_t piece_pairs = 256;

struct Pairs {
  const std::byte* weights[float_panels];  // a panel's pairs, 64 bytes each
  const uint32_t* activations;             // {tokens, piece_pairs}
  size_t count;
};

// Rounds n floats to n / 2 pairs, the even column in the low half; an odd last one gets a zero beside it.
void round_to_pairs(const float* x, size_t n, uint32_t* to) {
  for (size_t i = 0; i < n; i += 16) {
    const __m256bh rounded = _mm512_cvtneps_pbh(load_first(x + i, smaller(16, n - i)).v);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i / 2), reinterpret_cast<const __m256i&>(rounded));
  }
}

TERN_INLINE __m512bh as_bf16(__m512i bits) {
  return reinterpret_cast<const __m512bh&>(bits);
}

template <size_t P, size_t T>
TERN_NOINLINE void bf16_tile(const Pairs& pairs, const Output& y) {
  Floats sums[T][P];
  start_sums(sums, y);
  for (size_t i = 0; i < pairs.count; ++i) {
    __m512i columns[P];
    for (size_t p = 0; p < P; ++p) columns[p] = load_ints(pairs.weights[p] + i * 64).v;
    for (size_t t = 0; t < T; ++t) {
      const __m512i pair = _mm512_set1_epi32(static_cast<int>(pairs.activations[t * piece_pairs + i]));
      for (size_t p = 0; p < P; ++p) {
        sums[t][p].v = _mm512_dpbf16_ps(sums[t][p].v, as_bf16(columns[p]), as_bf16(pair));
      }
    }
  }
  store_sums(sums, y);
}

template <size_t P, size_t T>
TERN_INLINE void bf16_tile_of(const Pairs& pairs, size_t tokens, const Output& y) {
  if (tokens == T) return bf16_tile<P, T>(pairs, y);
  if constexpr (T > 1) bf16_tile_of<P, T - 1>(pairs, tokens, y);
}

// One tile of tokens, columns [k, k + cols) of all panels; y points at the tile's first token.
void multiply_tokens(const PackedPanels<PackedBf16>& w, const Rows& x, float* y, size_t ldy, bool accumulate,
                     size_t panel, size_t panel_end, size_t k, size_t cols) {
  alignas(64) uint32_t activations[float_tokens * piece_pairs];
  for (size_t t = 0; t < x.count; ++t) {
    round_to_pairs(x.at + t * x.ld + k, cols, activations + t * piece_pairs);
  }
  Pairs pairs = {{}, activations, (cols + 1) / 2};
  const auto piece = [&](size_t p) { return w.at(p).at + PackedBf16::bytes_of_cols(k); };
  for (; panel + float_panels <= panel_end; panel += float_panels) {
    for (size_t p = 0; p < float_panels; ++p) pairs.weights[p] = piece(panel + p);
    bf16_tile_of<float_panels, float_tokens>(pairs, x.count,
                                             output_of(w, panel, float_panels, y, ldy, accumulate));
  }
  for (; panel < panel_end; ++panel) {
    pairs.weights[0] = piece(panel);
    bf16_tile_of<1, float_tokens>(pairs, x.count, output_of(w, panel, 1, y, ldy, accumulate));
  }
}

}  // namespace

void avx512_bf16_matmul(const PackedMatrix& w, const ActivationRows& x, float* y, size_t ldy,
                        size_t panel_begin, size_t panel_end, bool accumulate) {
  const PackedPanels<PackedBf16> panels = {w.data, packed_panel_bytes(w.type, w.cols), w.rows};
  size_t k = 0;
  do {
    const size_t cols = smaller(2 * piece_pairs, w.cols - k);
    for (size_t panel = panel_begin; panel < panel_end; panel += group_panels) {
      const size_t group_end = smaller(panel + group_panels, panel_end);
      for (size_t t = 0, part = 0; t < x.tokens; t += part) {
        part = next_part(x.tokens - t, float_tokens);
        const Rows rows = {x.x + t * x.ld, x.ld, part, w.cols};
        multiply_tokens(panels, rows, y + t * ldy, ldy, accumulate || k > 0, panel, group_end, k, cols);
      }
    }
    k += cols;
  } while (k < w.cols);
}

}  // namespace tern
