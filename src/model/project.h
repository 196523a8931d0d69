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

inline bool needs_quantized(const PackedMatrix& w) {
  return needs_quantized(w.type);
}

/// Memory of one gated feed-forward network over up to max_tokens tokens.
struct GatedScratch {
  void reserve(size_t max_tokens, size_t hidden, size_t max_ff);
  Activations activations;
  std::vector<float> gate, up;  ///< {max_tokens, ff}
};

/// y {tokens, hidden} = down (gating of gate x and up x), shared out over the team by panels.
void gated_ffn(const Compute& compute, const GatedWeights& weights, GatedScratch& scratch, const float* x,
               size_t tokens, float* y);
/// The same on the calling thread alone, for a member of the team that has an expert of its own.
void gated_ffn_alone(const Kernels& kernels, const GatedWeights& weights, GatedScratch& scratch,
                     const float* x, size_t tokens, float* y);

}  // namespace tern
