// Multi-head Latent Attention (DeepSeek-V2, section 2.1): what is cached of a token is one normed latent and
// one roped key for all heads. Two ways through it, which round differently:
//   decompressed  every head's keys and values are made from the latents, then attention as usual;
//   absorbed      the query is taken into the latent space instead, and the heads share the latents as keys
//   and values.
//
// Both walk over absolute blocks of keys in ascending order with a running softmax, so a token's result
// depends on its sequence alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "model/attend_rows.h"
#include "model/batch_plan.h"
#include "model/cache.h"
#include "model/project.h"
#include "model/rope.h"
#include "model/weights.h"

namespace tern {

struct MlaShape {
  int heads = 0;
  int q_rank = 0;  ///< 0: the query has no low rank
  int kv_rank = 0;
  int nope = 0, rope = 0, v = 0;  ///< of one head
  float scale = 0;                ///< of the scores: 1 / sqrt(nope + rope), times YaRN's factor

  int qk() const { return nope + rope; }
  /// A query in the latent space: what it meets there and the roped part behind it.
  int latent_key() const { return kv_rank + rope; }
  /// Cached of a token: its latent and its roped key are the one key of all heads, the latent its value.
  KeyValueShape key_value() const { return {1, latent_key(), kv_rank}; }
};

struct MlaWeights {
  PackedMatrix q;                ///< {heads * qk, hidden}; without low rank
  PackedMatrix q_a;              ///< {q_rank, hidden}; with low rank
  std::vector<float> q_a_norm;   ///< {q_rank}
  PackedMatrix q_b;              ///< {heads * qk, q_rank}
  PackedMatrix kv_a;             ///< {kv_rank + rope, hidden}
  std::vector<float> kv_a_norm;  ///< {kv_rank}
  /// Per head W_UK transposed {kv_rank, nope}: takes a query into the latent space.
  std::vector<PackedMatrix> absorb_k;
  std::vector<PackedMatrix> up_k;  ///< per head W_UK {nope, kv_rank}, F32: makes keys from latents
  std::vector<PackedMatrix> up_v;  ///< per head W_UV {v, kv_rank}
  PackedMatrix out;                ///< {hidden, heads * v}
};

/// Loads `blk.LAYER.attn_*` with k and v apart (attn_k_b, attn_v_b) or together (attn_kv_b). Throws as
/// TensorReader.
MlaWeights load_mla(TensorReader& reader, const MlaShape& shape, uint64_t hidden, int layer);

/// The position from which prompts cost less absorbed, by arithmetic per head for pieces of kUsualPiece
/// tokens; a whole number of cache pages, or kNever. A prompt's way depends on the position alone, not on how
/// it is cut: so its rows have the same bits whether they are made now or were kept from an earlier prompt.
int absorbed_from(const MlaShape& shape);
inline constexpr int kNever = std::numeric_limits<int>::max();
inline constexpr int kUsualPiece = 512;

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
  static constexpr size_t kBlock = kKeyBlock;

  struct Member {
    Activations activations;
    // What follows is the decompressed way's.
    std::vector<float> latents;    ///< {kBlock, latent_key}: a page of the cache
    std::vector<float> scores;     ///< {max_tokens, kBlock}
    std::vector<float> keys;       ///< {kBlock, nope}
    std::vector<float> keys_t;     ///< {qk, kBlock}
    std::vector<float> values;     ///< {kBlock, v}
    std::vector<float> most, sum;  ///< {max_tokens}: the running softmax
  };

  void make_queries_and_rows(const Compute& compute, const MlaWeights& weights, const BatchPlan& plan,
                             PagedCache& cache, int layer, const float* x);
  void attend_absorbed(const Compute& compute, const MlaWeights& weights, const BatchPlan& plan,
                       const PagedCache& cache, int layer);
  void attend_decompressed(const Compute& compute, const MlaWeights& weights, const BatchPlan& plan,
                           const PagedCache& cache, int layer);
  void decompressed_head(const Kernels& kernels, const MlaWeights& weights, const Piece& piece, int head,
                         const PagedCache& cache, int layer, Member& member);
  void decompress_block(const Kernels& kernels, const MlaWeights& weights, int head, size_t keys,
                        Member& member);
  double score_work(const BatchPlan& plan, bool absorbed) const;

  MlaShape shape_;
  size_t hidden_;
  float eps_;
  RopeTable rope_;
  Activations activations_;
  std::vector<Member> members_;
  KeyValuePage page_;
  RowAttention rows_;                 ///< the absorbed way
  std::vector<const Piece*> pieces_;  ///< of the decompressed way
  std::vector<float> q_a_;            ///< {tokens, q_rank}
  std::vector<float> q_;              ///< {tokens, heads, qk}
  std::vector<float> kv_;             ///< {tokens, kv_rank + rope}
  std::vector<float> absorbed_q_;     ///< {tokens, heads, latent_key}
  std::vector<float> latent_;         ///< {tokens, heads, kv_rank}: attention's result in the latent space
  std::vector<float> heads_;          ///< {tokens, heads, v}
};

}  // namespace tern
