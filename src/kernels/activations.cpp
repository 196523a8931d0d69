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
  return part;
}

void Activations::reserve(size_t max_tokens, size_t max_cols) {
  const size_t q_cols = round_up(max_cols, layout::part_cols);
  const size_t size = checked_mul(max_tokens, q_cols, "activations");
  q_.resize(size);
  scales_.resize(size / layout::part_cols);
  sums_.resize(size / layout::half_part);
  scaled_sums_.resize(size / layout::part_cols);
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
}

void Activations::quantize_tokens(const Kernels& kernels, size_t token_begin, size_t token_end) {
  const size_t blocks = cols / layout::part_cols;
  for (size_t t = token_begin; t < token_end; ++t) {
    const float* scale = scales_.data() + t * blocks;
    const int32_t* sum = sums_.data() + t * 2 * blocks;
    float* scaled = scaled_sums_.data() + t * blocks;
    kernels.quantize_q8(x + t * ld, cols, q_.data() + t * cols, scales_.data() + t * blocks,
                        sums_.data() + t * 2 * blocks);
    for (size_t b = 0; b < blocks; ++b)
      scaled[b] = static_cast<float>(sum[2 * b] + sum[2 * b + 1]) * scale[b];
  }
}

}  // namespace tern
