// Attention of some query rows over one segment of keys: two products by the kernels of packed weights, and a
// softmax between them.
//
// A sequence's keys are walked in absolute segments of some pages, in ascending order: each segment's softmax
// by itself, then the segments' sums are joined (as in Milakov and Gimelshein 2018). A key that a query must
// not see adds nothing. So a row's result depends on its sequence alone: not on how a prompt was cut into
// pieces, nor on the company in its batch, nor on who worked out which segment.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>
#include <vector>

#include "kernels/kernels.h"
#include "model/batch_plan.h"
#include "model/key_value_page.h"

namespace tern {

constexpr float kMasked = -std::numeric_limits<float>::infinity();
constexpr size_t kKeyBlock = KeyValuePage::kPageTokens;  ///< keys of a page
constexpr size_t kSegmentPages = 8;
constexpr size_t kSegment = kSegmentPages * kKeyBlock;  ///< keys
constexpr size_t kRowChunk = 24;  ///< rows at a time at most: they share each read of a key, and fill tiles

/// The queries of a pass, tokens in the plan's order, and where their results go.
struct Queries {
  const float* queries = nullptr;  ///< {tokens, heads, key}, scaled
  float* out = nullptr;            ///< {tokens, heads, value}
  int window = 0;                  ///< keys a query sees at most, its own included; 0: all before it
  const float* sinks = nullptr;    ///< {heads}: a score that takes its share of the softmax and gives nothing
};

/// A running softmax of one row: the greatest score, the sum of the weights and that of the weighted values,
/// both relative to it.
struct SoftmaxRow {
  float* most = nullptr;
  float* sum = nullptr;
  float* acc = nullptr;  ///< {value}

  /// `part`, of further keys, joins these sums; where it saw nothing, nothing changes.
  void join(const Kernels& kernels, const SoftmaxRow& part, size_t value) const;
};

/// The same of kRowChunk rows.
struct SoftmaxSums {
  float* most = nullptr;  ///< {rows}
  float* sum = nullptr;   ///< {rows}
  float* acc = nullptr;   ///< {rows, value}

  SoftmaxRow row(size_t r, size_t value) const { return {most + r, sum + r, acc + r * value}; }
};
/// Floats of a SoftmaxSums.
constexpr size_t softmax_sums_size(size_t value) {
  return kRowChunk * (value + 2);
}
inline SoftmaxSums softmax_sums_at(float* buffer) {
  return {buffer, buffer + kRowChunk, buffer + 2 * kRowChunk};
}

/// Rows [begin, end) of those that one piece brings to one head of keys, which `group` heads of queries
/// share: row r is the query of token r / group and of the head's query r % group.
class QueryRows {
 public:
  QueryRows(const Piece& piece, const Queries& queries, const KeyValueShape& shape, size_t group,
            size_t kv_head, size_t begin, size_t end);

  SequenceId sequence() const { return sequence_; }
  size_t count() const { return count_; }
  size_t position(size_t row) const { return position_ + token(row); }
  size_t last() const { return position(count_ - 1); }
  const float* query(size_t row) const { return queries_ + (token(row) * heads_ + head(row)) * key_; }
  float* out(size_t row) const { return out_ + (token(row) * heads_ + head(row)) * value_; }
  const float* sink(size_t row) const { return sinks_ ? sinks_ + head(row) : nullptr; }
  /// The first key that `row` sees.
  size_t first_key(size_t row) const {
    return window_ > 0 && position(row) + 1 > window_ ? position(row) + 1 - window_ : 0;
  }

  /// Keys [begin, end), counted from somewhere; none where begin >= end.
  struct Range {
    size_t begin = 0, end = 0;
    bool operator==(const Range&) const = default;
    /// Of the page that starts `from` keys behind that.
    Range in_page(size_t from) const {
      return {std::clamp(begin, from, from + kKeyBlock) - from,
              std::clamp(end, from, from + kKeyBlock) - from};
    }
  };
  /// What `row` sees of the segment that begins with key `start`, counted from there.
  Range visible(size_t row, size_t start) const;
  /// The pages of a segment in which some row sees keys, counted from its first.
  Range pages(size_t segment) const;

 private:
  size_t token(size_t row) const { return (begin_ + row) / group_; }
  size_t head(size_t row) const { return (begin_ + row) % group_; }

  SequenceId sequence_;
  size_t position_, group_, heads_, key_, value_, window_, begin_, count_;
  const float* queries_;
  float* out_;
  const float* sinks_ = nullptr;
};

/// One thread's buffers, and what it does.
class SegmentAttention {
 public:
  /// Keys and values are those of `page`, a head of which has `shape`'s dimensions.
  SegmentAttention(const KeyValueShape& shape, const KeyValuePage& page);

  /// At most kRowChunk rows, whose segments are asked for next.
  void take(const Kernels& kernels, const QueryRows& rows);
  /// What the rows get of the keys of a segment, into `to` {rows}. `pages` {kSegmentPages}: those that
  /// rows.pages() names are read, of them the keys and values of head `page_head`.
  void sum(const Kernels& kernels, const QueryRows& rows, size_t segment, const std::byte* const* pages,
           size_t page_head, const SoftmaxSums& to);

 private:
  struct Keys;
  void soften_row(const Kernels& kernels, const QueryRows& rows, const Keys& keys, size_t row,
                  const SoftmaxSums& to);
  void add_int8(const Kernels& kernels, const QueryRows& rows, const Keys& keys, size_t block, float* acc);
  void add_floats(const Kernels& kernels, const QueryRows& rows, const Keys& keys, size_t block, float* acc);
  void add_page(const Kernels& kernels, const PackedMatrix& values, const QueryRows::Range& see,
                ActivationRows& weights, float* acc) const;

  size_t key_, value_;
  KeyValuePage page_;
  std::vector<float> queries_;  ///< {kRowChunk, key_cols}
  Activations query_rows_;
  std::vector<float> scores_;   ///< {kRowChunk, kSegment}: scores, then weights
  std::vector<float> weights_;  ///< {kSegmentPages, rows, kKeyBlock}: times the values' scales
  Activations weight_rows_;
};

}  // namespace tern
