// The decompressed way of multi-head latent attention, for prompts: every head's keys and values are made
// from the latents, a segment of keys at a time, into pages of floats like the cache's, which the queries
// then go over. (In int8 they cost precision, and on AVX2 as many instructions as in floats.)
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/batch_plan.h"
#include "model/cache.h"
#include "model/mla_shape.h"
#include "model/project.h"
#include "model/segment_attention.h"

namespace tern {

/// Buffers for one layer at a time, sized once.
class DecompressedAttention {
 public:
  /// `latents` is the cache's page.
  DecompressedAttention(const MlaShape& shape, const KeyValuePage& latents, size_t max_tokens, int members);

  /// The queries {tokens, heads, qk} of the plan's pieces that aren't absorbed. `work` in multiply-adds.
  void run(const Compute& compute, const MlaWeights& weights, const BatchPlan& plan, const PagedCache& cache,
           int layer, double work, const Queries& queries);

 private:
  static constexpr size_t kMostSegments = 8;  ///< whose latents are read at once, for all heads

  /// A segment of keys that a piece sees.
  struct Unit {
    const Piece* piece = nullptr;
    size_t segment = 0;

    size_t start() const { return segment * kSegment; }
    size_t keys() const { return std::min(kSegment, static_cast<size_t>(piece->end()) - start()); }
    bool last() const { return start() + keys() == static_cast<size_t>(piece->end()); }
  };
  /// Units [begin, end) of one piece.
  struct Run {
    size_t begin = 0, end = 0;
  };
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  struct Member {
    SegmentAttention segment;
    std::vector<float> keys;    ///< {kSegment, qk}
    std::vector<float> values;  ///< {kSegment, v}
    std::vector<Line> pages;    ///< {kSegmentPages, a page}: the same as the products want them
    std::vector<float> part;    ///< a SoftmaxSums
  };

  void list_units(const BatchPlan& plan);
  void read_latents(const Compute& compute, const MlaWeights& weights, const PagedCache& cache, int layer,
                    const Unit* units, size_t count);
  void attend(const Kernels& kernels, const MlaWeights& weights, const Unit& unit, size_t slot, size_t head,
              const Queries& queries, Member& member);
  void decompress(const Kernels& kernels, const MlaWeights& weights, size_t slot, size_t keys, size_t head,
                  Member& member);
  void attend_rows(const Kernels& kernels, const Unit& unit, size_t head, const Queries& queries,
                   Member& member);
  void finish(const Kernels& kernels, const Piece& piece, size_t head, const Queries& queries);
  SoftmaxRow total(size_t token, size_t head, const Queries& queries);

  MlaShape shape_;
  KeyValuePage latents_page_, page_;
  std::vector<Member> members_;
  std::vector<Unit> units_;
  std::vector<Run> runs_;
  std::vector<float> latents_;  ///< {kMostSegments, kSegment, latent_key}
  Activations rows_;            ///< of latents_, without the roped part
  std::vector<float> most_;     ///< {tokens, heads}, of a SoftmaxRow
  std::vector<float> sum_;      ///< {tokens, heads}
};

}  // namespace tern
