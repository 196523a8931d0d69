#include <algorithm>

#include "base/checked.h"
#include "kernels/kernels.h"
#include "kernels/layout.h"

namespace tern {

ActivationRows ActivationRows::rows(size_t begin, size_t count) const {
  ActivationRows part = *this;
  part.x += begin * ld;
  part.tokens = count;
  if (!quantized) return part;
  part.q_data = q(begin);
  part.scale_data = scales(begin);
  part.sum_data = sums(begin);
  part.scaled_sum_data = scaled_sums(begin);
  part.start_data = starts(begin);
  return part;
}

void Activations::reserve(size_t max_tokens, size_t max_cols) {
  const size_t q_cols = round_up(max_cols, layout::part_cols);
  const size_t size = checked_mul(max_tokens, q_cols, "activations");
  q_.resize(size);
  scales_.resize(size / layout::part_cols);
  sums_.resize(size / layout::half_part);
  scaled_sums_.resize(size / layout::part_cols);
  starts_.resize(size / layout::part_cols * 3);
}

void Activations::set(const Kernels& kernels, const float* new_x, size_t new_ld, size_t new_tokens,
                      size_t new_cols, bool quantize) {
  point(new_x, new_ld, new_tokens, new_cols, quantize);
  if (quantize) quantize_tokens(kernels, 0, new_tokens);
}

void Activations::point(const float* new_x, size_t new_ld, size_t new_tokens, size_t new_cols,
                        bool quantize) {
  if (quantize && new_cols % layout::part_cols != 0) {
    fail(ErrorKind::internal, "activations: {} columns to quantize, expected a multiple of {}", new_cols,
         layout::part_cols);
  }
  if (quantize && new_cols != 0 && new_tokens > q_.size() / new_cols) {
    fail(ErrorKind::internal, "activations: {} x {} to quantize, reserved {}", new_tokens, new_cols,
         q_.size());
  }
  x = new_x;
  ld = new_ld;
  tokens = new_tokens;
  cols = new_cols;
  quantized = quantize;
  q_data = q_.data();
  scale_data = scales_.data();
  sum_data = sums_.data();
  scaled_sum_data = scaled_sums_.data();
  start_data = starts_.data();
}

void Activations::quantize_tokens(const Kernels& kernels, size_t token_begin, size_t token_end) {
  quantize_columns(kernels, token_begin, token_end, 0, cols);
}

void Activations::quantize_columns(const Kernels& kernels, size_t token_begin, size_t token_end,
                                   size_t col_begin, size_t col_end) {
  const size_t blocks = (col_end - col_begin) / layout::part_cols;
  for (size_t t = token_begin; t < token_end; ++t) {
    const size_t first = (t * cols + col_begin) / layout::part_cols;
    const float* scale = scales_.data() + first;
    const int32_t* sum = sums_.data() + 2 * first;
    float* scaled = scaled_sums_.data() + first;
    int32_t* start = starts_.data() + 3 * first;
    kernels.quantize_q8(x + t * ld + col_begin, col_end - col_begin, q_.data() + first * layout::part_cols,
                        scales_.data() + first, sums_.data() + 2 * first);
    for (size_t b = 0; b < blocks; ++b) {
      const int32_t one = sum[2 * b], other = sum[2 * b + 1];
      scaled[b] = static_cast<float>(one + other) * scale[b];
      start[3 * b] = -128 * one;
      start[3 * b + 1] = -128 * other;
      start[3 * b + 2] = -128 * (one + other);
    }
  }
}

void Activations::copy_quantized(size_t to, const ActivationRows& from, size_t row) {
  const size_t blocks = cols / layout::part_cols;
  std::copy_n(from.q(row), cols, q_.data() + to * cols);
  std::copy_n(from.scales(row), blocks, scales_.data() + to * blocks);
  std::copy_n(from.sums(row), 2 * blocks, sums_.data() + to * 2 * blocks);
  std::copy_n(from.scaled_sums(row), blocks, scaled_sums_.data() + to * blocks);
  std::copy_n(from.starts(row), 3 * blocks, starts_.data() + to * 3 * blocks);
}

}  // namespace tern
