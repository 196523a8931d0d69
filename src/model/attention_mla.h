// Multi-head Latent Attention (DeepSeek-V2, section 2.1): what is cached of a token is one normed latent and
// one roped key for all heads. Two ways through it, which round differently:
//   decompressed  every head's keys and values are made from the latents, then attention as usual;
//   absorbed      the query is taken into the latent space instead, and the heads share the latents as keys
//   and values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "model/attend_rows.h"
#include "model/batch_plan.h"
#include "model/cache.h"
#include "model/decompressed_attention.h"
#include "model/mla_shape.h"
#include "model/project.h"
#include "model/rope.h"
#include "model/weights.h"

namespace tern {

/// Loads `blk.LAYER.attn_*` with k and v apart (attn_k_b, attn_v_b) or together (attn_kv_b). Throws as
/// TensorReader.
MlaWeights load_mla(TensorReader& reader, const MlaShape& shape, uint64_t hidden, int layer);

/// The position from which prompts cost less absorbed, by arithmetic per head for pieces of kPromptPass
/// tokens; a whole number of cache pages, or kNever. A prompt's way depends on the position alone, not on how
/// it is cut: so its rows have the same bits whether they are made now or were kept from an earlier prompt.
int absorbed_from(const MlaShape& shape);
inline constexpr int kNever = std::numeric_limits<int>::max();

/// Buffers for one layer at a time, sized once.
class MlaAttention {
 public:
  MlaAttention(const MlaShape& shape, const KeyValuePage& page, const RopeParams& rope, uint64_t hidden,
               float eps, size_t max_tokens, int members);

  /// The angles of the batch's positions; once for all layers.
  void prepare(const BatchPlan& plan);

  /// y {tokens, hidden} = attention of x {tokens, hidden} (normed), tokens in the plan's order. Writes the
  /// tokens' rows of `layer` into the cache.
  void forward(const Compute& compute, const MlaWeights& weights, const BatchPlan& plan, PagedCache& cache,
               int layer, const float* x, float* y);

 private:
  void make_queries_and_rows(const Compute& compute, const MlaWeights& weights, const BatchPlan& plan,
                             PagedCache& cache, int layer, const float* x);
  void attend_absorbed(const Compute& compute, const MlaWeights& weights, const BatchPlan& plan,
                       const PagedCache& cache, int layer);
  double score_work(const BatchPlan& plan, bool absorbed) const;

  MlaShape shape_;
  size_t hidden_;
  float eps_;
  RopeTable rope_;
  Activations activations_;
  std::vector<Activations> member_activations_;
  KeyValuePage page_;
  RowAttention absorbed_;
  DecompressedAttention decompressed_;
  std::vector<float> q_a_;         ///< {tokens, q_rank}
  std::vector<float> q_;           ///< {tokens, heads, qk}
  std::vector<float> kv_;          ///< {tokens, kv_rank + rope}
  std::vector<float> absorbed_q_;  ///< {tokens, heads, latent_key}
  std::vector<float> latent_;      ///< {tokens, heads, kv_rank}: attention's result in the latent space
  std::vector<float> heads_;       ///< {tokens, heads, v}
};

}  // namespace tern
