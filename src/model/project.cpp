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

void project(const Compute& compute, Activations& activations, const float* x, size_t ldx, size_t tokens,
             std::initializer_list<Projection> projections) {
  size_t panels = 0;
  double work = 0;
  bool quantize = false;
  for (const Projection& p : projections) {
    panels += p.w->panels();
    work += static_cast<double>(p.w->rows) * static_cast<double>(p.w->cols) * static_cast<double>(tokens);
    quantize |= needs_quantized(*p.w);
  }
  activations.set(compute.kernels, x, ldx, tokens, projections.begin()->w->cols, quantize);
  // The matrices' panels stand in one row; a piece of it may cover several matrices.
  parallel(compute.team, panels, work, [&](size_t begin, size_t end, int) {
    size_t first = 0;
    for (const Projection& p : projections) {
      const size_t last = first + p.w->panels();
      const size_t from = std::max(begin, first), to = std::min(end, last);
      if (from < to) {
        compute.kernels.matmul(*p.w, activations, p.y, p.ldy, from - first, to - first, false);
        const size_t row = (from - first) * kPanelRows,
                     rows = std::min(p.w->rows, (to - first) * kPanelRows) - row;
        add_bias(compute.kernels, p.bias ? p.bias + row : nullptr, rows, tokens, p.y + row, p.ldy);
      }
      first = last;
    }
  });
}

void GatedScratch::reserve(size_t max_tokens, size_t hidden, size_t max_ff) {
  activations.reserve(max_tokens, std::max(hidden, max_ff));
  gate.resize(max_tokens * max_ff);
  up.resize(max_tokens * max_ff);
}

void gated_ffn(const Compute& compute, const GatedWeights& weights, GatedScratch& scratch, const float* x,
               size_t tokens, float* y) {
  const size_t ff = weights.gate.rows, hidden = weights.down.rows;
  float* gate = scratch.gate.data();
  float* up = scratch.up.data();
  project(compute, scratch.activations, x, hidden, tokens,
          {{&weights.gate, gate, ff, weights.gate_bias}, {&weights.up, up, ff, weights.up_bias}});
  const double exp_work = 16.0 * static_cast<double>(tokens * ff);
  parallel(compute.team, tokens, exp_work, [&](size_t begin, size_t end, int) {
    apply_gating(compute.kernels, weights.gating, gate + begin * ff, up + begin * ff, (end - begin) * ff);
  });
  project(compute, scratch.activations, gate, ff, tokens, {{&weights.down, y, hidden, weights.down_bias}});
}

void gated_ffn_alone(const Kernels& kernels, const GatedWeights& weights, GatedScratch& scratch,
                     const float* x, size_t tokens, float* y) {
  const size_t ff = weights.gate.rows, hidden = weights.down.rows;
  float* gate = scratch.gate.data();
  float* up = scratch.up.data();
  scratch.activations.set(kernels, x, hidden, tokens, hidden,
                          needs_quantized(weights.gate) || needs_quantized(weights.up));
  kernels.matmul(weights.gate, scratch.activations, gate, ff, 0, weights.gate.panels(), false);
  kernels.matmul(weights.up, scratch.activations, up, ff, 0, weights.up.panels(), false);
  add_bias(kernels, weights.gate_bias, ff, tokens, gate, ff);
  add_bias(kernels, weights.up_bias, ff, tokens, up, ff);
  apply_gating(kernels, weights.gating, gate, up, tokens * ff);
  scratch.activations.set(kernels, gate, ff, tokens, ff, needs_quantized(weights.down));
  kernels.matmul(weights.down, scratch.activations, y, hidden, 0, weights.down.panels(), false);
  add_bias(kernels, weights.down_bias, hidden, tokens, y, hidden);
}

}  // namespace tern
