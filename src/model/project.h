// Matrix products shared out over the team: several weights may read the same activations in one go.
#pragma once

#include <functional>
#include <initializer_list>
#include <span>
#include <vector>

#include "base/thread_team.h"
#include "kernels/kernels.h"
#include "model/experts.h"

namespace tern {

/// parallel_for without the copy that std::function makes of a large lambda.
template <typename Body>
void parallel(ThreadTeam& team, size_t items, double work, Body&& body) {
  team.parallel_for(items, work, std::ref(body));
}

/// What every layer computes with.
struct Compute {
  const Kernels& kernels;
  ThreadTeam& team;
};

/// y {tokens, ldy} = x W^T + bias, for one of the matrices that share x.
struct Projection {
  const PackedMatrix* w;
  float* y;
  size_t ldy;
  const float* bias = nullptr;  ///< {rows} or null
};

/// x {tokens, ldx} times each matrix; all have the same cols. `activations` was reserved for that many.
void project(const Compute& compute, Activations& activations, const float* x, size_t ldx, size_t tokens,
             std::initializer_list<Projection> projections);
/// The same of activations that are ready.
void project(const Compute& compute, const ActivationRows& x, std::initializer_list<Projection> projections);

/// Panels [begin, end) of one projection, on the calling thread alone.
void project_panels(const Kernels& kernels, const Projection& projection, const ActivationRows& x,
                    size_t begin, size_t end);
/// The panels [begin, end) as a matrix of their own.
PackedMatrix panels_of(const PackedMatrix& w, size_t begin, size_t end);

/// Computes the int8 form of activations that were pointed at their floats, shared out over the team.
void quantize(const Compute& compute, Activations& activations);

inline bool needs_quantized(const PackedMatrix& w) {
  return needs_quantized(w.type);
}
inline bool needs_quantized(const GatedWeights& weights) {
  return needs_quantized(weights.gate) || needs_quantized(weights.up);
}

/// So many panels are computed by one member in one go; a kernel keeps as many unpacked for many tokens.
constexpr size_t kPanelsAtOnce = 8;

/// The upper half of gated feed-forward networks, gating of gate x and up x, in rows which several networks
/// may share. Its unit of work is a pair of panels: their 32 rows are a block of the lower half's
/// activations.
class GatedRows {
 public:
  void reserve(size_t max_rows, size_t max_ff, size_t max_tokens, int members);
  /// `rows` rows for networks of this kind.
  void start(const GatedWeights& weights, size_t rows);
  /// Rows [first, first + x.tokens) become the gating of gate x and up x, ready for the down matrix; of them
  /// only the columns of pairs [pair_begin, pair_end). On the calling thread, a member of the team.
  void compute(const Kernels& kernels, const GatedWeights& weights, const ActivationRows& x, size_t first,
               size_t pair_begin, size_t pair_end, int member);

  const ActivationRows& rows() const { return activations_; }
  static size_t pairs(const GatedWeights& weights) { return (weights.gate.panels() + 1) / 2; }

 private:
  size_t up_size_ = 0;       ///< of one member
  std::vector<float> gate_;  ///< {rows, ff}
  std::vector<float> up_;    ///< {members, max_tokens, rows of kPanelsAtOnce panels}
  Activations activations_;  ///< of gate_
};

/// Memory of one gated feed-forward network over up to max_tokens tokens.
struct GatedScratch {
  void reserve(size_t max_tokens, size_t hidden, size_t max_ff, int members);
  Activations activations;
  GatedRows gated;
};

/// y {tokens, hidden} = down (gating of gate x and up x), shared out over the team by panels.
void gated_ffn(const Compute& compute, const GatedWeights& weights, GatedScratch& scratch, const float* x,
               size_t tokens, float* y);

}  // namespace tern
