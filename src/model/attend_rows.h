// Attention of a few query rows over the cached keys and values of one sequence.
//
// Keys are walked in absolute blocks of one page, in ascending order, with a running softmax; a key that a
// query must not see is never touched. So a row's result depends on its sequence alone: not on how a prompt
// was cut into pieces nor on the company in its batch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "model/batch_plan.h"
#include "model/cache.h"

namespace tern {

constexpr float kMasked = -std::numeric_limits<float>::infinity();
constexpr size_t kKeyBlock = PagedCache::kPageTokens;  ///< keys at a time
constexpr size_t kRowChunk = 16;  ///< rows of a task at most: they share each read of a key

/// Where in a cached row the keys and values of some heads lie.
struct KeyValueSlice {
  size_t key = 0, key_width = 0;
  size_t value = 0, value_width = 0;
};

/// The queries that one piece of a sequence brings to heads that share keys: `heads` rows a token. Row r
/// belongs to token r / heads, and lies at queries + (r / heads) * query_stride + (r % heads) * key_width;
/// its result goes to out + (r / heads) * out_stride + (r % heads) * value_width.
struct QueryRows {
  SequenceId sequence = 0;
  int position = 0;  ///< of the first token
  size_t heads = 1;
  const float* queries = nullptr;  ///< scaled
  size_t query_stride = 0;
  float* out = nullptr;
  size_t out_stride = 0;
  int window = 0;                ///< keys a query sees at most, its own included; 0: all before it
  const float* sinks = nullptr;  ///< {heads}: a score that takes its share of the softmax and gives nothing
};

/// Rows [begin, end) of those that one piece brings to one head of keys and values.
struct RowTask {
  uint32_t piece = 0, kv_head = 0, begin = 0, end = 0;
};

/// The rows of a plan's pieces, cut into tasks of kRowChunk and fewer, enough to keep a team at work.
class RowTasks {
 public:
  /// For `group` rows a token and head.
  RowTasks(size_t kv_heads, size_t group, size_t max_tokens);
  /// Of the pieces that go this way through attention.
  std::span<const RowTask> cut(const BatchPlan& plan, bool absorbed, size_t members);

 private:
  size_t kv_heads_, group_;
  std::vector<RowTask> tasks_;
};

/// Buffers of one member of the team.
class RowScratch {
 public:
  void reserve(const KeyValueSlice& slice);

  std::vector<float> queries;    ///< {key_width, kRowChunk}, transposed
  std::vector<float> raw;        ///< {kKeyBlock, kRowChunk}: scores as they come
  std::vector<float> scores;     ///< {kRowChunk, kKeyBlock}
  std::vector<float> most, sum;  ///< {kRowChunk}: the running softmax
  std::vector<float> acc;        ///< {kRowChunk, value_width}
};

/// One more block of scores {block} for a running softmax: scores become weights, and what was summed so far
/// into acc {n} and sum is scaled down to the new maximum. At least one score is not kMasked.
void soften(const Kernels& kernels, float* scores, size_t block, float& most, float& sum, float* acc,
            size_t n);

/// Rows [begin, end) of `rows`, at most kRowChunk.
void attend_rows(const Kernels& kernels, const PagedCache& cache, int layer, const KeyValueSlice& slice,
                 const QueryRows& rows, size_t begin, size_t end, RowScratch& scratch);

}  // namespace tern
