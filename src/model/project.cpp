#include "model/project.h"

#include <algorithm>

namespace tern {

namespace {

/// y {tokens, ldy} += bias {n}; nothing where there is none.
void add_bias(const Kernels& kernels, const float* bias, size_t n, size_t tokens, float* y, size_t ldy) {
  for (size_t t = 0; bias && t < tokens; ++t) kernels.axpy(1.0f, bias, n, y + t * ldy);
}

/// gate[i] = the gating of gate[i] and up[i], which is used up.
void apply_gating(const Kernels& kernels, Gating gating, float* gate, float* up, size_t n) {
  if (gating == Gating::clamped_silu) {
    // silu(a g) / a * (u + 1), both clamped, is silu_mul of a g and (u + 1) / a. NaN passes.
    constexpr float a = 1.702f, limit = 7.0f;
    for (size_t i = 0; i < n; ++i) {
      const float g = gate[i] > limit ? limit : gate[i];
      const float u = up[i] > limit ? limit : up[i] < -limit ? -limit : up[i];
      gate[i] = a * g;
      up[i] = (u + 1.0f) / a;
    }
  }
  kernels.silu_mul(gate, up, n, gate);
}

}  // namespace

PackedMatrix panels_of(const PackedMatrix& w, size_t begin, size_t end) {
  const size_t first = begin * kPanelRows;
  return {w.type, std::min(w.rows, end * kPanelRows) - first, w.cols,
          w.data + begin * packed_panel_bytes(w.type, w.cols)};
}

void project_panels(const Kernels& kernels, const Projection& p, const ActivationRows& x, size_t begin,
                    size_t end) {
  kernels.matmul(*p.w, x, p.y, p.ldy, begin, end, false);
  const size_t row = begin * kPanelRows, rows = std::min(p.w->rows, end * kPanelRows) - row;
  add_bias(kernels, p.bias ? p.bias + row : nullptr, rows, x.tokens, p.y + row, p.ldy);
}

void project(const Compute& compute, const ActivationRows& x, std::initializer_list<Projection> projections) {
  size_t panels = 0;
  double work = 0;
  for (const Projection& p : projections) {
    panels += p.w->panels();
    work += static_cast<double>(p.w->rows) * static_cast<double>(p.w->cols) * static_cast<double>(x.tokens);
  }
  // The matrices' panels stand in one row; a piece of it may cover several matrices.
  parallel(compute.team, panels, work, [&](size_t begin, size_t end, int) {
    size_t first = 0;
    for (const Projection& p : projections) {
      const size_t last = first + p.w->panels();
      const size_t from = std::max(begin, first), to = std::min(end, last);
      if (from < to) project_panels(compute.kernels, p, x, from - first, to - first);
      first = last;
    }
  });
}

void project(const Compute& compute, Activations& activations, const float* x, size_t ldx, size_t tokens,
             std::initializer_list<Projection> projections) {
  bool quantized = false;
  for (const Projection& p : projections) quantized |= needs_quantized(*p.w);
  activations.point(x, ldx, tokens, projections.begin()->w->cols, quantized);
  quantize(compute, activations);
  project(compute, activations, projections);
}

void quantize(const Compute& compute, Activations& activations) {
  if (!activations.quantized) return;
  // A value takes about as long as eight multiply-adds.
  const double work = 8.0 * static_cast<double>(activations.tokens * activations.cols);
  parallel(compute.team, activations.tokens, work,
           [&](size_t begin, size_t end, int) { activations.quantize_tokens(compute.kernels, begin, end); });
}

void GatedRows::reserve(size_t max_rows, size_t max_ff, size_t max_tokens, int members) {
  up_size_ = max_tokens * kPanelsAtOnce * kPanelRows;
  gate_.resize(max_rows * max_ff);
  up_.resize(up_size_ * static_cast<size_t>(members));
  activations_.reserve(max_rows, max_ff);
}

void GatedRows::start(const GatedWeights& weights, size_t rows) {
  const size_t ff = weights.gate.rows;
  activations_.point(gate_.data(), ff, rows, ff, needs_quantized(weights.down));
}

void GatedRows::compute(const Kernels& kernels, const GatedWeights& weights, const ActivationRows& x,
                        size_t first, size_t pair_begin, size_t pair_end, int member) {
  const size_t ff = weights.gate.rows, last = std::min(2 * pair_end, weights.gate.panels());
  float* up = up_.data() + static_cast<size_t>(member) * up_size_;
  for (size_t begin = 2 * pair_begin; begin < last; begin += kPanelsAtOnce) {
    const size_t end = std::min(last, begin + kPanelsAtOnce), col = begin * kPanelRows;
    const PackedMatrix up_w = panels_of(weights.up, begin, end);
    const size_t cols = up_w.rows;
    project_panels(kernels, {&weights.gate, gate_.data() + first * ff, ff, weights.gate_bias}, x, begin, end);
    project_panels(kernels, {&up_w, up, cols, weights.up_bias ? weights.up_bias + col : nullptr}, x, 0,
                   end - begin);
    for (size_t t = 0; t < x.tokens; ++t) {
      apply_gating(kernels, weights.gating, gate_.data() + (first + t) * ff + col, up + t * cols, cols);
    }
    if (activations_.quantized) {
      activations_.quantize_columns(kernels, first, first + x.tokens, col, col + cols);
    }
  }
}

void GatedScratch::reserve(size_t max_tokens, size_t hidden, size_t max_ff, int members) {
  activations.reserve(max_tokens, hidden);
  gated.reserve(max_tokens, max_ff, max_tokens, members);
}

void gated_ffn(const Compute& compute, const GatedWeights& weights, GatedScratch& scratch, const float* x,
               size_t tokens, float* y) {
  const size_t ff = weights.gate.rows, hidden = weights.down.rows;
  scratch.activations.point(x, hidden, tokens, hidden, needs_quantized(weights));
  quantize(compute, scratch.activations);
  scratch.gated.start(weights, tokens);
  const double work = 2.0 * static_cast<double>(tokens) * static_cast<double>(hidden * ff);
  parallel(compute.team, GatedRows::pairs(weights), work, [&](size_t begin, size_t end, int member) {
    scratch.gated.compute(compute.kernels, weights, scratch.activations, 0, begin, end, member);
  });
  project(compute, scratch.gated.rows(), {{&weights.down, y, hidden, weights.down_bias}});
}

}  // namespace tern
