#include "model/segment_attention.h"

namespace tern {

void SoftmaxRow::join(const Kernels& kernels, const SoftmaxRow& part, size_t value) const {
  if (*part.sum == 0) return;
  const float greatest = std::max(*most, *part.most);
  float old_factor = *most, factor = *part.most;
  kernels.exp_shifted(&old_factor, greatest, 1);
  kernels.exp_shifted(&factor, greatest, 1);
  kernels.scale(old_factor, value, acc);
  kernels.axpy(factor, part.acc, value, acc);
  *sum = *sum * old_factor + *part.sum * factor;
  *most = greatest;
}

QueryRows::QueryRows(const Piece& piece, const Queries& queries, const KeyValueShape& shape, size_t group,
                     size_t kv_head, size_t begin, size_t end)
    : sequence_(piece.sequence),
      position_(piece.position),
      group_(group),
      heads_(group * shape.heads),
      key_(shape.key),
      value_(shape.value),
      window_(queries.window),
      begin_(begin),
      count_(end - begin) {
  const size_t first = piece.first * heads_ + kv_head * group;
  queries_ = queries.queries + first * key_;
  out_ = queries.out + first * value_;
  if (queries.sinks) sinks_ = queries.sinks + kv_head * group;
}

QueryRows::Range QueryRows::visible(size_t row, size_t start) const {
  const size_t first = std::max(start, first_key(row)) - start, end = position(row) + 1;
  return {std::min(first, kSegment), end > start ? std::min(kSegment, end - start) : 0};
}

QueryRows::Range QueryRows::pages(size_t segment) const {
  const size_t start = segment * kSegment;
  const size_t first = std::max(start, first_key(0) / kKeyBlock * kKeyBlock);
  const size_t end = std::min(start + kSegment, last() + 1);
  return {(first - start) / kKeyBlock, (end - start + kKeyBlock - 1) / kKeyBlock};
}

/// A segment and those of its pages with keys that some row sees.
struct SegmentAttention::Keys {
  size_t start;  ///< its first key
  size_t first, end;
  const std::byte* const* pages;
  size_t head;
};

SegmentAttention::SegmentAttention(const KeyValueShape& shape, const KeyValuePage& page)
    : key_(shape.key), value_(shape.value), page_(page) {
  queries_.resize(kRowChunk * page.key_cols());
  query_rows_.reserve(kRowChunk, page.key_cols());
  scores_.resize(kRowChunk * kSegment);
  weights_.resize(kRowChunk * kSegment);
  weight_rows_.reserve(kSegmentPages * kRowChunk, kKeyBlock);
}

void SegmentAttention::take(const Kernels& kernels, const QueryRows& rows) {
  const size_t cols = page_.key_cols();
  // Columns beyond the key's own are zero since the beginning.
  for (size_t r = 0; r < rows.count(); ++r) std::copy_n(rows.query(r), key_, queries_.data() + r * cols);
  query_rows_.set(kernels, queries_.data(), cols, rows.count(), cols, page_.quantized());
}

void SegmentAttention::sum(const Kernels& kernels, const QueryRows& rows, size_t segment,
                           const std::byte* const* pages, size_t page_head, const SoftmaxSums& to) {
  const QueryRows::Range range = rows.pages(segment);
  const Keys keys = {segment * kSegment, range.begin, range.end, pages, page_head};
  for (size_t p = keys.first; p < keys.end; ++p) {
    const PackedMatrix matrix = page_.keys(pages[p], page_head);
    kernels.matmul(matrix, query_rows_, scores_.data() + p * kKeyBlock, kSegment, 0, matrix.panels(), false);
  }
  for (size_t r = 0; r < rows.count(); ++r) soften_row(kernels, rows, keys, r, to);
  std::fill_n(to.acc, rows.count() * value_, 0.0f);
  for (size_t block = 0; block < page_.value_blocks(); ++block) {
    float* acc = to.acc + block * KeyValuePage::kValueBlock;
    page_.quantized() ? add_int8(kernels, rows, keys, block, acc)
                      : add_floats(kernels, rows, keys, block, acc);
  }
}

/// Scores to weights; 0 for keys that the row doesn't see.
void SegmentAttention::soften_row(const Kernels& kernels, const QueryRows& rows, const Keys& keys, size_t row,
                                  const SoftmaxSums& to) {
  float* scores = scores_.data() + row * kSegment;
  const QueryRows::Range see = rows.visible(row, keys.start);
  const bool any = see.begin < see.end;
  const size_t count = any ? see.end - see.begin : 0;
  to.most[row] = any ? kernels.max(scores + see.begin, count) : kMasked;
  to.sum[row] = any ? kernels.exp_shifted(scores + see.begin, to.most[row], count) : 0.0f;
  std::fill(scores + keys.first * kKeyBlock, scores + (any ? see.begin : keys.end * kKeyBlock), 0.0f);
  if (any) std::fill(scores + see.end, scores + keys.end * kKeyBlock, 0.0f);
}

void SegmentAttention::add_int8(const Kernels& kernels, const QueryRows& rows, const Keys& keys, size_t block,
                                float* acc) {
  const size_t count = rows.count();
  float* weights = weights_.data();
  for (size_t p = keys.first; p < keys.end; ++p) {
    const float* scales = page_.value_scales(keys.pages[p], keys.head, block);
    for (size_t r = 0; r < count; ++r, weights += kKeyBlock) {
      const float* weight = scores_.data() + r * kSegment + p * kKeyBlock;
      // What isn't seen stays 0, whatever its scale is.
      for (size_t k = 0; k < kKeyBlock; ++k) weights[k] = weight[k] == 0 ? 0.0f : weight[k] * scales[k];
    }
  }
  weight_rows_.set(kernels, weights_.data(), kKeyBlock, (keys.end - keys.first) * count, kKeyBlock, true);
  for (size_t p = keys.first; p < keys.end; ++p) {
    const PackedMatrix values = page_.values(keys.pages[p], keys.head, block);
    kernels.matmul(values, weight_rows_.rows((p - keys.first) * count, count), acc, value_, 0,
                   values.panels(), true);
  }
}

void SegmentAttention::add_floats(const Kernels& kernels, const QueryRows& rows, const Keys& keys,
                                  size_t block, float* acc) {
  for (size_t p = keys.first; p < keys.end; ++p) {
    const PackedMatrix values = page_.values(keys.pages[p], keys.head, block);
    const size_t from = p * kKeyBlock;
    // Rows that see the same keys go together.
    for (size_t r = 0; r < rows.count();) {
      const QueryRows::Range see = rows.visible(r, keys.start).in_page(from);
      size_t end = r + 1;
      while (end < rows.count() && rows.visible(end, keys.start).in_page(from) == see) ++end;
      ActivationRows weights;
      weights.x = scores_.data() + r * kSegment + from;
      weights.ld = kSegment;
      weights.tokens = end - r;
      add_page(kernels, values, see, weights, acc + r * value_);
      r = end;
    }
  }
}

/// Only values that the rows see are touched: a NaN times a weight of 0 would be one.
void SegmentAttention::add_page(const Kernels& kernels, const PackedMatrix& values,
                                const QueryRows::Range& see, ActivationRows& weights, float* acc) const {
  if (see.begin >= see.end) return;
  const size_t begin = see.begin / 2 * 2;  // BF16 has its columns in pairs
  weights.x += begin;
  weights.cols = see.end - begin;
  if (weights.cols == kKeyBlock)
    return kernels.matmul(values, weights, acc, value_, 0, values.panels(), true);
  const size_t panel_bytes = packed_panel_bytes(values.type, kKeyBlock);
  const size_t skipped = packed_panel_bytes(values.type, 2) * (begin / 2);
  for (size_t panel = 0; panel < values.panels(); ++panel) {
    const size_t row = panel * kPanelRows;
    const PackedMatrix part = {values.type, std::min(kPanelRows, values.rows - row), weights.cols,
                               values.data + panel * panel_bytes + skipped};
    kernels.matmul(part, weights, acc + row, value_, 0, 1, true);
  }
}

}  // namespace tern
