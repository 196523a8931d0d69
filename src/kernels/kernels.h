// The arithmetic of a forward pass, one table of functions per instruction set.
//
// Weights are packed into panels of 16 rows: for each step along the columns the 16 rows' values lie side by
// side. Every result y[t][r] is summed along the columns in one fixed order that depends on neither the
// number of tokens nor the panels computed together, so a token's result never depends on its company. Every
// function gives the same bits on every instruction set, with one exception: BF16 weights on avx512_bf16,
// where activations are rounded to bf16 and denormals count as zero.
//
// What isn't finite stays visible: NaN and infinity run through products and sums as IEEE 754 says. Denormals
// are computed with (the kernels never set FTZ or DAZ, which would change bits between instruction sets).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "quant/types.h"

namespace tern {

/// avx2 means AVX2, FMA and F16C; avx512 means F, BW, DQ, VL and VNNI; avx512_bf16 adds BF16.
enum class Isa { scalar, avx2, avx512, avx512_bf16 };
constexpr Isa kAllIsas[] = {Isa::scalar, Isa::avx2, Isa::avx512, Isa::avx512_bf16};
std::string_view isa_name(Isa isa);

constexpr size_t kPanelRows = 16;

/// A weight matrix in packed panels (a view). y = W x with W {rows, cols}. The layout is in kernels/layout.h.
struct PackedMatrix {
  DType type = DType::f32;
  size_t rows = 0;  ///< rows beyond the matrix in the last panel are zero
  size_t cols = 0;
  const std::byte* data = nullptr;  ///< 64-byte aligned

  size_t panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
};

/// Bytes of one panel (a multiple of 64) and of a whole packed matrix. Throws Error{limit} on overflow and
/// Error{bad_input} where `cols` is not a multiple of the type's block size.
size_t packed_panel_bytes(DType type, size_t cols);
size_t packed_bytes(DType type, size_t rows, size_t cols);
/// Packs row-major rows (contiguous along cols, as in GGUF) into `to` (packed_bytes, 64-byte aligned).
/// A second matrix may be stacked under one whose rows are a multiple of 16: its panels follow.
void pack(DType type, const std::byte* rows_data, size_t rows, size_t cols, std::byte* to);
/// Packs only the panels [panel_begin, panel_end) of the same matrix (`rows_data` and `to` still point at its
/// start), so that threads can share the work.
void pack_panels(DType type, const std::byte* rows_data, size_t rows, size_t cols, size_t panel_begin,
                 size_t panel_end, std::byte* to);

/// Whether Kernels::matmul of such weights wants its activations quantized: so it is for every type of
/// blocks.
bool needs_quantized(DType type);

/// Activations of several tokens as the kernels of one weight type want them (a view): floats, and for types
/// of blocks also int8 blocks of 32 with a scale and exact sums each.
struct ActivationRows {
  const float* x = nullptr;
  size_t ld = 0, tokens = 0, cols = 0;
  bool quantized = false;
  const int8_t* q_data = nullptr;     ///< {tokens, cols}
  const float* scale_data = nullptr;  ///< {tokens, cols / 32}: max|x| / 127
  const int32_t* sum_data = nullptr;  ///< {tokens, cols / 16}: sum of q over 16 columns each
  const float* scaled_sum_data =
      nullptr;  ///< {tokens, cols / 32}: sum of q over 32 columns, times their scale
  const int32_t* start_data =
      nullptr;  ///< {tokens, cols / 32, 3}: -128 times the sum over the first 16, the second, all

  const int8_t* q(size_t token) const { return q_data + token * cols; }
  const float* scales(size_t token) const { return scale_data + token * (cols / 32); }
  const int32_t* sums(size_t token) const { return sum_data + token * (cols / 16); }
  const float* scaled_sums(size_t token) const { return scaled_sum_data + token * (cols / 32); }
  const int32_t* starts(size_t token) const { return start_data + token * (cols / 32) * 3; }
  /// `count` of them, from `begin` on.
  ActivationRows rows(size_t begin, size_t count) const;
};

/// Such rows with memory of their own, sized once by reserve().
class Activations : public ActivationRows {
 public:
  void reserve(size_t max_tokens, size_t max_cols);
  /// Points at `tokens` rows of floats ({tokens, ld}, ld >= cols) and, if `quantize`, computes their int8
  /// form (cols a multiple of 32). Throws Error{internal} beyond what was reserved.
  void set(const struct Kernels& kernels, const float* x, size_t ld, size_t tokens, size_t cols,
           bool quantize);
  /// The same in two steps, so that threads can share the second: point(), then quantize_tokens() over pieces
  /// that cover all tokens once.
  void point(const float* x, size_t ld, size_t tokens, size_t cols, bool quantize);
  void quantize_tokens(const struct Kernels& kernels, size_t token_begin, size_t token_end);
  /// Of those tokens only the columns [col_begin, col_end), multiples of 32.
  void quantize_columns(const struct Kernels& kernels, size_t token_begin, size_t token_end, size_t col_begin,
                        size_t col_end);
  /// Row `to` becomes the int8 form of a row of others with as many columns.
  void copy_quantized(size_t to, const ActivationRows& from, size_t row);

 private:
  std::vector<int8_t> q_;
  std::vector<float> scales_;
  std::vector<int32_t> sums_;
  std::vector<float> scaled_sums_;
  std::vector<int32_t> starts_;
};

/// One instruction set's functions. Pointers need only the alignment of what they point at;
/// sizes may be any, zero included.
/// Sums over a vector (rms_norm, exp_shifted) are kept in 16 lanes, element i in lane i % 16, and the lanes
/// added pairwise: l and l + 8, then l + 4, l + 2, l + 1.
struct Kernels {
  Isa isa;

  /// y[t * ldy + r] (+)= sum_k x[t][k] W[r][k] for all tokens t of x and the rows of panels [panel_begin,
  /// panel_end). Rows past W.rows are not written. With `accumulate` each sum starts from y, else from 0.
  /// F32, F16, BF16: one fused multiply-add a column, k ascending from 0.
  /// Types of blocks need x.quantized. Their weights are scale * (integer) + offset in each sub-block, which
  /// is 16 columns for Q2_K, Q3_K and Q6_K and 32 for the others; scale (d * scale of the sub-block) and
  /// offset (m, or -dmin * min) are exact in float. For each sub-block in order, inside the activations'
  /// block of 32:
  ///   y = fma(float(sum of weight integers * q), scale * x scale, y), the sum exact, and with offsets then
  ///   y = fma(float(sum of q) * x scale, offset, y).
  void (*matmul)(const PackedMatrix& w, const ActivationRows& x, float* y, size_t ldy, size_t panel_begin,
                 size_t panel_end, bool accumulate);

  /// q[i] = round-to-nearest-even(x[i] / scale), scale = max|x| / 127 per block of 32; sums of q over
  /// 16 each. n % 32 == 0. A block whose scale would be denormal (max|x| < 1.5e-36) becomes zeros with scale
  /// 0; a block with a NaN or an infinity becomes zeros with scale NaN, so that what it meets is NaN.
  void (*quantize_q8)(const float* x, size_t n, int8_t* q, float* scales, int32_t* sums);

  /// y = x / sqrt(mean(x^2) + eps) * weight; x and y may be the same. Computed as x * (1 / sqrt(..)) *
  /// weight.
  void (*rms_norm)(const float* x, const float* weight, float eps, size_t n, float* y);
  /// y[i] = silu(gate[i]) * up[i], silu(g) = g / (1 + exp(-g)); y may be gate or up. silu(-inf) is NaN.
  void (*silu_mul)(const float* gate, const float* up, size_t n, float* y);
  /// x[i] = exp(x[i] - shift) for all i (-inf gives 0); returns the sum. exp has a relative error of at most
  /// 2e-7, is 0 below -87.33 (where floats become denormal) and infinity above 88.7228.
  float (*exp_shifted)(float* x, float shift, size_t n);
  /// The greatest, NaNs left out; -inf where there is none.
  float (*max)(const float* x, size_t n);
  /// y[i] += a * x[i], one fused multiply-add each.
  void (*axpy)(float a, const float* x, size_t n, float* y);
  void (*scale)(float a, size_t n, float* x);

  /// The integer products of matmul on registers alone, so many rounds of them; returns the multiply-adds
  /// that were done. What a machine can at most, for measuring.
  uint64_t (*spin_products)(size_t rounds);
};

/// The best instruction set that this machine has (CPUID and XGETBV).
Isa detect_isa();
bool isa_available(Isa isa);
/// The table of `isa`; throws Error{unsupported} where this machine or build lacks it.
const Kernels& kernels(Isa isa);
/// "scalar", "avx2", "avx512", "avx512_bf16"; throws Error{bad_input} listing them.
Isa parse_isa(std::string_view name);

}  // namespace tern
