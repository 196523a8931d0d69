// Attention of query rows over the cached keys and values of their sequences.
//
// Keys are walked in absolute segments of some pages, in ascending order: each segment's softmax by itself,
// then the segments' sums are joined (as in Milakov and Gimelshein 2018). A key that a query must not see
// adds nothing. So a row's result depends on its sequence alone: not on how a prompt was cut into pieces, nor
// on the company in its batch, nor on who worked out which segment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/kernels.h"
#include "model/batch_plan.h"
#include "model/cache.h"
#include "model/key_value_page.h"
#include "model/project.h"

namespace tern {

constexpr float kMasked = -std::numeric_limits<float>::infinity();
constexpr size_t kKeyBlock = PagedCache::kPageTokens;  ///< keys of a page
constexpr size_t kSegmentPages = 8;
constexpr size_t kSegment = kSegmentPages * kKeyBlock;  ///< keys
constexpr size_t kRowChunk = 16;  ///< rows of a task at most: they share each read of a key

/// The queries of a pass, tokens in the plan's order, and where their results go.
struct Queries {
  const float* queries = nullptr;  ///< {tokens, heads, key}, scaled
  float* out = nullptr;            ///< {tokens, heads, value}
  int window = 0;                  ///< keys a query sees at most, its own included; 0: all before it
  const float* sinks = nullptr;    ///< {heads}: a score that takes its share of the softmax and gives nothing
};

/// A running softmax of some rows: the greatest score, the sum of the weights and that of the weighted
/// values, both relative to it.
struct SoftmaxSums {
  float* most = nullptr;  ///< {rows}
  float* sum = nullptr;   ///< {rows}
  float* acc = nullptr;   ///< {rows, value}
};

/// Buffers for one layer at a time, and the way through it.
class RowAttention {
 public:
  /// Where `group` heads of queries share each head of keys.
  RowAttention(const KeyValueShape& shape, const KeyValuePage& page, size_t group, size_t max_tokens,
               int members);

  /// The queries of the plan's pieces that go this way through attention. `work` in multiply-adds.
  void run(const Compute& compute, const BatchPlan& plan, bool absorbed, const PagedCache& cache, int layer,
           double work, const Queries& queries);

 private:
  /// Rows [begin, end) of those that one piece brings to one head of keys and values: row r is the query of
  /// token r / group and of the head's query r % group.
  struct Task {
    uint32_t piece = 0, kv_head = 0, begin = 0, end = 0;
    uint32_t segment = 0, segment_end = 0;
    uint32_t part = kWhole;  ///< where the sums of its one segment go; kWhole: it has all segments
  };
  static constexpr uint32_t kWhole = UINT32_MAX;
  /// Rows whose segments are tasks of their own.
  struct Split {
    Task rows;
    uint32_t first_part = 0, parts = 0;
  };
  struct Member {
    std::vector<float> queries;  ///< {kRowChunk, key_cols}
    Activations query_rows;
    std::vector<float> scores;   ///< {kRowChunk, kSegment}: scores, then weights
    std::vector<float> weights;  ///< {kSegmentPages, rows, kKeyBlock}: times the values' scales
    Activations weight_rows;
    std::vector<float> part, total;  ///< a SoftmaxSums each
  };
  class Rows;
  class Segment;

  void cut(const BatchPlan& plan, bool absorbed, size_t members, const Queries& queries);
  void add_split(const Task& task);
  uint32_t parts() const { return splits_.empty() ? 0 : splits_.back().first_part + splits_.back().parts; }
  Rows rows_of(const BatchPlan& plan, const Queries& queries, const Task& task) const;
  void attend(const Kernels& kernels, const PagedCache& cache, int layer, const Rows& rows, const Task& task,
              Member& member);
  void join_parts(const Kernels& kernels, const Rows& rows, const Split& split, size_t row, Member& member);
  SoftmaxSums sums_at(float* buffer) const;

  KeyValueShape shape_;
  KeyValuePage page_;
  size_t group_, sums_size_;
  std::vector<Member> members_;
  std::vector<Task> tasks_;
  std::vector<Split> splits_;
  std::vector<float> parts_;  ///< {parts, sums_size_}
};

}  // namespace tern
