// Grouped-query attention (Ainslie et al. 2023): each key-value head serves a group of query heads. With as
// many of one as of the other it is plain multi-head attention.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/attend_rows.h"
#include "model/batch_plan.h"
#include "model/cache.h"
#include "model/project.h"
#include "model/rope.h"
#include "model/weights.h"

namespace tern {

struct GqaShape {
  int heads = 0, kv_heads = 0;
  int key = 0, value = 0;  ///< dimensions of one head
  bool qkv_bias = false, out_bias = false;
  bool qk_norm = false;      ///< RMSNorm over each head's query and key, before they are rotated (Qwen 3)
  bool sinks = false;        ///< a learned score a head that takes its share of the softmax (gpt-oss)
  std::vector<int> windows;  ///< {layers}: keys a query sees at most, 0 for all; empty: all everywhere

  int group() const { return heads / kv_heads; }
  /// Cached of a token: each head's rotated key and its value.
  KeyValueShape key_value() const { return {kv_heads, key, value}; }
  int window(int layer) const { return windows.empty() ? 0 : windows[layer]; }
};

struct GqaWeights {
  PackedMatrix q;                                       ///< {heads * key, hidden}
  PackedMatrix k;                                       ///< {kv_heads * key, hidden}
  PackedMatrix v;                                       ///< {kv_heads * value, hidden}
  PackedMatrix out;                                     ///< {hidden, heads * value}
  std::vector<float> q_bias, k_bias, v_bias, out_bias;  ///< empty where the shape has none
  std::vector<float> q_norm, k_norm;                    ///< {key}, likewise
  std::vector<float> sinks;                             ///< {heads}, likewise
};

/// Loads `blk.LAYER.attn_*`. Throws as TensorReader.
GqaWeights load_gqa(TensorReader& reader, const GqaShape& shape, uint64_t hidden, int layer);

/// Buffers for one layer at a time, sized once.
class GqaAttention {
 public:
  GqaAttention(const GqaShape& shape, const KeyValuePage& page, const RopeParams& rope, uint64_t hidden,
               float eps, size_t max_tokens, int members);

  /// The angles of the batch's positions; once for all layers.
  void prepare(const BatchPlan& plan);

  /// y {tokens, hidden} = attention of x {tokens, hidden} (normed), tokens in the plan's order. Writes the
  /// tokens' rows of `layer` into the cache.
  void forward(const Compute& compute, const GqaWeights& weights, const BatchPlan& plan, PagedCache& cache,
               int layer, const float* x, float* y);

 private:
  void make_rows(const Compute& compute, const GqaWeights& weights, const BatchPlan& plan, PagedCache& cache,
                 int layer, const float* x);
  void finish_head(const Kernels& kernels, size_t token, const std::vector<float>& norm, float* head) const;
  double score_work(const BatchPlan& plan, int window) const;

  GqaShape shape_;
  size_t hidden_;
  float eps_;
  RopeTable rope_;
  Activations activations_;
  KeyValuePage page_;
  RowAttention rows_;
  std::vector<float> q_, k_,
      v_;                     ///< {tokens, heads, key}, {tokens, kv_heads, key}, {tokens, kv_heads, value}
  std::vector<float> heads_;  ///< {tokens, heads, value}
};

}  // namespace tern
