// Attention of query rows over the cached keys and values of their sequences, shared out over the team: by
// heads and rows, and where those are few, by the segments of keys, too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/cache.h"
#include "model/project.h"
#include "model/segment_attention.h"

namespace tern {

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
  /// Rows [begin, end) of a piece and a head, see QueryRows.
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
    SegmentAttention segment;
    std::vector<float> part, total;  ///< a SoftmaxSums each
  };

  void cut(const BatchPlan& plan, bool absorbed, size_t members, const Queries& queries);
  void add_split(const Task& task);
  uint32_t parts() const { return splits_.empty() ? 0 : splits_.back().first_part + splits_.back().parts; }
  QueryRows rows_of(const BatchPlan& plan, const Queries& queries, const Task& task) const;
  void attend(const Kernels& kernels, const PagedCache& cache, int layer, const QueryRows& rows,
              const Task& task, Member& member);
  void join_parts(const Kernels& kernels, const QueryRows& rows, const Split& split, size_t row,
                  Member& member);
  void begin(const QueryRows& rows, size_t row, const SoftmaxRow& total) const;
  void give(const Kernels& kernels, const QueryRows& rows, size_t row, const SoftmaxRow& total) const;

  KeyValueShape shape_;
  size_t group_, value_;
  std::vector<Member> members_;
  std::vector<Task> tasks_;
  std::vector<Split> splits_;
  std::vector<float> parts_;  ///< {parts, a SoftmaxSums}
};

}  // namespace tern
