#include "model/attend_rows.h"

#include <algorithm>

namespace tern {

namespace {

/// The keys of a block that one row sees: [begin, end), counted from the block's start.
struct Visible {
  size_t begin = 0, end = 0;
  bool operator==(const Visible&) const = default;
};

class Rows {
 public:
  Rows(const QueryRows& rows, size_t begin, size_t end) : rows_(rows), begin_(begin), count_(end - begin) {}

  size_t count() const { return count_; }
  size_t position(size_t row) const { return rows_.position + token(row); }
  const float* query(size_t row, size_t width) const {
    return rows_.queries + token(row) * rows_.query_stride + head(row) * width;
  }
  float* out(size_t row, size_t width) const {
    return rows_.out + token(row) * rows_.out_stride + head(row) * width;
  }
  const float* sink(size_t row) const { return rows_.sinks ? rows_.sinks + head(row) : nullptr; }
  /// The first key that `row` sees.
  size_t first_key(size_t row) const {
    const size_t window = rows_.window;
    return window > 0 && position(row) + 1 > window ? position(row) + 1 - window : 0;
  }
  Visible visible(size_t row, size_t start) const {
    const size_t first = std::max(start, first_key(row));
    return {first - start, std::min(kKeyBlock, position(row) + 1 - start)};
  }

 private:
  size_t token(size_t row) const { return (begin_ + row) / rows_.heads; }
  size_t head(size_t row) const { return (begin_ + row) % rows_.heads; }

  const QueryRows& rows_;
  size_t begin_, count_;
};

void start(const Rows& rows, const KeyValueSlice& slice, RowScratch& scratch) {
  for (size_t r = 0; r < rows.count(); ++r) {
    const float* query = rows.query(r, slice.key_width);
    for (size_t c = 0; c < slice.key_width; ++c) scratch.queries[c * kRowChunk + r] = query[c];
    const float* sink = rows.sink(r);
    scratch.most[r] = sink ? *sink : kMasked;
    scratch.sum[r] = sink ? 1.0f : 0.0f;
  }
  std::fill_n(scratch.acc.data(), rows.count() * slice.value_width, 0.0f);
}

/// Rows [from, to), which all see something of the block: scores to weights, weights times values.
void add_block(const Kernels& kernels, const Rows& rows, const KeyValueSlice& slice, const float* values,
               size_t width, size_t block, size_t from, size_t to, RowScratch& scratch) {
  const size_t n = slice.value_width;
  for (size_t r = from; r < to; ++r) {
    float* scores = scratch.scores.data() + r * kKeyBlock;
    const Visible see = rows.visible(r, block);
    std::fill_n(scores, kKeyBlock, kMasked);
    for (size_t key = see.begin; key < see.end; ++key) scores[key] = scratch.raw[key * kRowChunk + r];
    soften(kernels, scores, kKeyBlock, scratch.most[r], scratch.sum[r], scratch.acc.data() + r * n, n);
  }
  // Rows that see the same keys go together.
  for (size_t r = from; r < to;) {
    const Visible see = rows.visible(r, block);
    size_t end = r + 1;
    while (end < to && rows.visible(end, block) == see) ++end;
    kernels.gemm(scratch.scores.data() + r * kKeyBlock + see.begin, kKeyBlock, values + see.begin * width,
                 width, scratch.acc.data() + r * n, n, end - r, n, see.end - see.begin, true);
    r = end;
  }
}

}  // namespace

RowTasks::RowTasks(size_t kv_heads, size_t group, size_t max_tokens) : kv_heads_(kv_heads), group_(group) {
  tasks_.reserve(kv_heads * (max_tokens * group / (kRowChunk / 2) + max_tokens));
}

std::span<const RowTask> RowTasks::cut(const BatchPlan& plan, bool absorbed, size_t members) {
  const size_t tokens = absorbed ? plan.absorbed_tokens() : plan.tokens() - plan.absorbed_tokens();
  const bool few = tokens * group_ * kv_heads_ < kRowChunk * members;
  const size_t chunk = few ? kRowChunk / 2 : kRowChunk;
  tasks_.clear();
  for (size_t p = 0; p < plan.pieces().size(); ++p) {
    if (plan.pieces()[p].absorbed != absorbed) continue;
    const size_t rows = plan.pieces()[p].count * group_;
    for (size_t head = 0; head < kv_heads_; ++head) {
      for (size_t row = 0; row < rows; row += chunk) {
        tasks_.push_back({uint32_t(p), uint32_t(head), uint32_t(row), uint32_t(std::min(rows, row + chunk))});
      }
    }
  }
  return tasks_;
}

void RowScratch::reserve(const KeyValueSlice& slice) {
  queries.resize(slice.key_width * kRowChunk);
  raw.resize(kKeyBlock * kRowChunk);
  scores.resize(kRowChunk * kKeyBlock);
  most.resize(kRowChunk);
  sum.resize(kRowChunk);
  acc.resize(kRowChunk * slice.value_width);
}

void soften(const Kernels& kernels, float* scores, size_t block, float& most, float& sum, float* acc,
            size_t n) {
  const float highest = kernels.max(scores, block);
  if (highest > most) {
    float factor = most;
    kernels.exp_shifted(&factor, highest, 1);
    kernels.scale(factor, n, acc);
    sum *= factor;
    most = highest;
  }
  sum += kernels.exp_shifted(scores, most, block);
}

void attend_rows(const Kernels& kernels, const PagedCache& cache, int layer, const KeyValueSlice& slice,
                 const QueryRows& query_rows, size_t begin, size_t end, RowScratch& scratch) {
  const Rows rows(query_rows, begin, end);
  const size_t width = cache.shape().row;
  start(rows, slice, scratch);

  const size_t last = rows.position(rows.count() - 1);
  size_t
      from = 0,
      to = 0;  // rows before `from` stand before the block; the window of those from `to` on starts after it
  for (size_t block = rows.first_key(0) / kKeyBlock * kKeyBlock; block <= last; block += kKeyBlock) {
    const size_t keys = std::min(kKeyBlock, last + 1 - block);
    while (rows.position(from) < block) ++from;
    to = std::max(to, from);
    while (to < rows.count() && rows.first_key(to) < block + kKeyBlock) ++to;
    const float* row = cache.row(layer, query_rows.sequence, static_cast<int>(block));
    kernels.gemm(row + slice.key, width, scratch.queries.data() + from, kRowChunk, scratch.raw.data() + from,
                 kRowChunk, keys, to - from, slice.key_width, false);
    add_block(kernels, rows, slice, row + slice.value, width, block, from, to, scratch);
  }
  for (size_t r = 0; r < rows.count(); ++r) {
    float* acc = scratch.acc.data() + r * slice.value_width;
    kernels.scale(1.0f / scratch.sum[r], slice.value_width, acc);
    std::copy_n(acc, slice.value_width, rows.out(r, slice.value_width));
  }
}

}  // namespace tern
