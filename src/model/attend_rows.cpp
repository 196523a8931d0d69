#include "model/attend_rows.h"

#include <algorithm>

namespace tern {

namespace {

constexpr size_t kMostParts = 1024;  // with the widest values some 32 MB

/// The keys of a segment that one row sees: [begin, end), counted from the segment's start; begin >= end
/// where it sees none.
struct Visible {
  size_t begin = 0, end = 0;
  bool operator==(const Visible&) const = default;
  /// Of the page that starts `from` keys behind the segment's start.
  Visible in_page(size_t from) const {
    return {std::clamp(begin, from, from + kKeyBlock) - from, std::clamp(end, from, from + kKeyBlock) - from};
  }
};

}  // namespace

// ---- rows

/// Some of the rows that a piece brings to one head of keys.
class RowAttention::Rows {
 public:
  Rows(const Piece& piece, const Queries& queries, const KeyValueShape& shape, size_t group, size_t kv_head,
       size_t begin, size_t end)
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
  Visible visible(size_t row, size_t start) const {
    const size_t first = std::max(start, first_key(row)) - start, end = position(row) + 1;
    return {std::min(first, kSegment), end > start ? std::min(kSegment, end - start) : 0};
  }

  void begin_sums(size_t row, const SoftmaxSums& to) const {
    to.most[row] = sink(row) ? *sink(row) : kMasked;
    to.sum[row] = sink(row) ? 1.0f : 0.0f;
    std::fill_n(to.acc + row * value_, value_, 0.0f);
  }
  /// One row of `part` into `total`; where the part saw nothing, nothing changes.
  void join(const Kernels& kernels, const SoftmaxSums& part, const SoftmaxSums& total, size_t row) const {
    if (part.sum[row] == 0) return;
    const float most = std::max(total.most[row], part.most[row]);
    float old_factor = total.most[row], factor = part.most[row];
    kernels.exp_shifted(&old_factor, most, 1);
    kernels.exp_shifted(&factor, most, 1);
    kernels.scale(old_factor, value_, total.acc + row * value_);
    kernels.axpy(factor, part.acc + row * value_, value_, total.acc + row * value_);
    total.sum[row] = total.sum[row] * old_factor + part.sum[row] * factor;
    total.most[row] = most;
  }
  void give(const Kernels& kernels, const SoftmaxSums& total, size_t row) const {
    float* acc = total.acc + row * value_;
    kernels.scale(1.0f / total.sum[row], value_, acc);
    std::copy_n(acc, value_, out(row));
  }

 private:
  size_t token(size_t row) const { return (begin_ + row) / group_; }
  size_t head(size_t row) const { return (begin_ + row) % group_; }

  SequenceId sequence_;
  size_t position_, group_, heads_, key_, value_, window_, begin_, count_;
  const float* queries_;
  float* out_;
  const float* sinks_ = nullptr;
};

// ---- one segment

/// What rows get of the keys of one segment.
class RowAttention::Segment {
 public:
  Segment(const Kernels& kernels, const KeyValuePage& page, const PagedCache& cache, int layer,
          size_t kv_head, const Rows& rows, size_t segment)
      : kernels_(kernels), page_(page), kv_head_(kv_head), rows_(rows), start_(segment * kSegment) {
    const size_t from = std::max(start_, rows.first_key(0) / kKeyBlock * kKeyBlock);
    const size_t end = std::min(start_ + kSegment, rows.last() + 1);
    first_ = (from - start_) / kKeyBlock;
    end_ = (end - start_ + kKeyBlock - 1) / kKeyBlock;
    for (size_t p = first_; p < end_; ++p)
      pages_[p] = cache.page(layer, rows.sequence(), static_cast<int>(start_ + p * kKeyBlock));
  }

  void sum(Member& member, const SoftmaxSums& to, size_t width) const {
    for (size_t p = first_; p < end_; ++p) {
      const PackedMatrix keys = page_.keys(pages_[p], kv_head_);
      kernels_.matmul(keys, member.query_rows, member.scores.data() + p * kKeyBlock, kSegment, 0,
                      keys.panels(), false);
    }
    for (size_t r = 0; r < rows_.count(); ++r) soften_row(r, member.scores.data() + r * kSegment, to);
    std::fill_n(to.acc, rows_.count() * width, 0.0f);
    for (size_t block = 0; block < page_.value_blocks(); ++block) {
      float* acc = to.acc + block * KeyValuePage::kValueBlock;
      page_.quantized() ? add_int8(member, block, acc, width) : add_floats(member, block, acc, width);
    }
  }

 private:
  /// Scores to weights; 0 for keys that the row doesn't see.
  void soften_row(size_t row, float* scores, const SoftmaxSums& to) const {
    const Visible see = rows_.visible(row, start_);
    const bool any = see.begin < see.end;
    const size_t count = any ? see.end - see.begin : 0;
    to.most[row] = any ? kernels_.max(scores + see.begin, count) : kMasked;
    to.sum[row] = any ? kernels_.exp_shifted(scores + see.begin, to.most[row], count) : 0.0f;
    std::fill(scores + first_ * kKeyBlock, scores + (any ? see.begin : end_ * kKeyBlock), 0.0f);
    if (any) std::fill(scores + see.end, scores + end_ * kKeyBlock, 0.0f);
  }

  void add_int8(Member& member, size_t block, float* acc, size_t width) const {
    const size_t rows = rows_.count();
    float* weights = member.weights.data();
    for (size_t p = first_; p < end_; ++p) {
      const float* scales = page_.value_scales(pages_[p], kv_head_, block);
      for (size_t r = 0; r < rows; ++r, weights += kKeyBlock) {
        const float* weight = member.scores.data() + r * kSegment + p * kKeyBlock;
        // What isn't seen stays 0, whatever its scale is.
        for (size_t k = 0; k < kKeyBlock; ++k) weights[k] = weight[k] == 0 ? 0.0f : weight[k] * scales[k];
      }
    }
    member.weight_rows.set(kernels_, member.weights.data(), kKeyBlock, (end_ - first_) * rows, kKeyBlock,
                           true);
    for (size_t p = first_; p < end_; ++p) {
      const PackedMatrix values = page_.values(pages_[p], kv_head_, block);
      kernels_.matmul(values, member.weight_rows.rows((p - first_) * rows, rows), acc, width, 0,
                      values.panels(), true);
    }
  }

  void add_floats(const Member& member, size_t block, float* acc, size_t width) const {
    for (size_t p = first_; p < end_; ++p) {
      const PackedMatrix values = page_.values(pages_[p], kv_head_, block);
      const size_t from = p * kKeyBlock;
      // Rows that see the same keys go together.
      for (size_t r = 0; r < rows_.count();) {
        const Visible see = rows_.visible(r, start_).in_page(from);
        size_t end = r + 1;
        while (end < rows_.count() && rows_.visible(end, start_).in_page(from) == see) ++end;
        ActivationRows weights;
        weights.x = member.scores.data() + r * kSegment + from;
        weights.ld = kSegment;
        weights.tokens = end - r;
        add_page(values, see, weights, acc + r * width, width);
        r = end;
      }
    }
  }

  /// Only values that the rows see are touched: a NaN times a weight of 0 would be one.
  void add_page(const PackedMatrix& values, const Visible& see, ActivationRows& weights, float* acc,
                size_t width) const {
    if (see.begin >= see.end) return;
    const size_t begin = see.begin / 2 * 2;  // BF16 has its columns in pairs
    weights.x += begin;
    weights.cols = see.end - begin;
    if (weights.cols == kKeyBlock)
      return kernels_.matmul(values, weights, acc, width, 0, values.panels(), true);
    const size_t panel_bytes = packed_panel_bytes(values.type, kKeyBlock);
    const size_t skipped = packed_panel_bytes(values.type, 2) * (begin / 2);
    for (size_t panel = 0; panel < values.panels(); ++panel) {
      const size_t row = panel * kPanelRows;
      const PackedMatrix part = {values.type, std::min(kPanelRows, values.rows - row), weights.cols,
                                 values.data + panel * panel_bytes + skipped};
      kernels_.matmul(part, weights, acc + row, width, 0, 1, true);
    }
  }

  const Kernels& kernels_;
  const KeyValuePage& page_;
  size_t kv_head_;
  const Rows& rows_;
  size_t start_;        // the segment's first key
  size_t first_, end_;  // pages of the segment with keys that some row sees
  const std::byte* pages_[kSegmentPages];
};

// ---- all of them

RowAttention::RowAttention(const KeyValueShape& shape, const KeyValuePage& page, size_t group,
                           size_t max_tokens, int members)
    : shape_(shape),
      page_(page),
      group_(group),
      sums_size_(kRowChunk * (static_cast<size_t>(shape.value) + 2)),
      members_(members) {
  tasks_.reserve(shape.heads * (max_tokens * group / (kRowChunk / 2) + max_tokens));
  for (Member& member : members_) {
    member.queries.resize(kRowChunk * page.key_cols());
    member.query_rows.reserve(kRowChunk, page.key_cols());
    member.scores.resize(kRowChunk * kSegment);
    member.weights.resize(kRowChunk * kSegment);
    member.weight_rows.reserve(kSegmentPages * kRowChunk, kKeyBlock);
    member.part.resize(sums_size_);
    member.total.resize(sums_size_);
  }
}

SoftmaxSums RowAttention::sums_at(float* buffer) const {
  return {buffer, buffer + kRowChunk, buffer + 2 * kRowChunk};
}

RowAttention::Rows RowAttention::rows_of(const BatchPlan& plan, const Queries& queries,
                                         const Task& task) const {
  return {plan.pieces()[task.piece], queries, shape_, group_, task.kv_head, task.begin, task.end};
}

void RowAttention::cut(const BatchPlan& plan, bool absorbed, size_t members, const Queries& queries) {
  tasks_.clear();
  splits_.clear();
  const auto chunks_of = [&](const Piece& piece) {
    return (piece.count * group_ + kRowChunk - 1) / kRowChunk;
  };
  size_t chunks = 0;
  for (const Piece& piece : plan.pieces()) {
    if (piece.absorbed == absorbed) chunks += shape_.heads * chunks_of(piece);
  }
  const bool few = chunks < 2 * members;
  for (size_t p = 0; p < plan.pieces().size(); ++p) {
    const Piece& piece = plan.pieces()[p];
    if (piece.absorbed != absorbed) continue;
    const size_t rows = piece.count * group_;
    // Few rows give everybody work by their segments; where there is only one, by fewer rows at a time.
    const bool split = few && piece.end() > static_cast<int64_t>(kSegment);
    const size_t chunk = few && !split ? kRowChunk / 2 : kRowChunk;
    for (int head = 0; head < shape_.heads; ++head) {
      for (size_t row = 0; row < rows; row += chunk) {
        Task task = {uint32_t(p), uint32_t(head), uint32_t(row), uint32_t(std::min(rows, row + chunk))};
        const Rows some = rows_of(plan, queries, task);
        task.segment = static_cast<uint32_t>(some.first_key(0) / kSegment);
        task.segment_end = static_cast<uint32_t>(some.last() / kSegment + 1);
        const bool room = parts() + (task.segment_end - task.segment) <= kMostParts;
        split&& room ? add_split(task) : tasks_.push_back(task);
      }
    }
  }
}

/// A task for each segment.
void RowAttention::add_split(const Task& task) {
  const uint32_t first = parts();
  splits_.push_back({task, first, task.segment_end - task.segment});
  for (uint32_t i = 0; i < splits_.back().parts; ++i) {
    Task one = task;
    one.segment = task.segment + i;
    one.segment_end = one.segment + 1;
    one.part = first + i;
    tasks_.push_back(one);
  }
  parts_.resize(std::max(parts_.size(), parts() * sums_size_));
}

void RowAttention::run(const Compute& compute, const BatchPlan& plan, bool absorbed, const PagedCache& cache,
                       int layer, double work, const Queries& queries) {
  const Kernels& kernels = compute.kernels;
  cut(plan, absorbed, compute.team.size(), queries);
  parallel(compute.team, tasks_.size(), work, [&](size_t begin, size_t end, int index) {
    for (size_t i = begin; i < end; ++i)
      attend(kernels, cache, layer, rows_of(plan, queries, tasks_[i]), tasks_[i], members_[index]);
  });
  const double join_work = static_cast<double>(parts() * sums_size_);
  parallel(compute.team, splits_.size() * kRowChunk, join_work, [&](size_t begin, size_t end, int index) {
    for (size_t i = begin; i < end; ++i) {
      const Split& split = splits_[i / kRowChunk];
      const Rows rows = rows_of(plan, queries, split.rows);
      if (i % kRowChunk < rows.count()) join_parts(kernels, rows, split, i % kRowChunk, members_[index]);
    }
  });
}

void RowAttention::attend(const Kernels& kernels, const PagedCache& cache, int layer, const Rows& rows,
                          const Task& task, Member& member) {
  const size_t key = shape_.key, cols = page_.key_cols();
  // Columns beyond the key's own are zero since the beginning.
  for (size_t r = 0; r < rows.count(); ++r) std::copy_n(rows.query(r), key, member.queries.data() + r * cols);
  member.query_rows.set(kernels, member.queries.data(), cols, rows.count(), cols, page_.quantized());

  const auto sum_segment = [&](size_t segment, const SoftmaxSums& to) {
    Segment(kernels, page_, cache, layer, task.kv_head, rows, segment).sum(member, to, shape_.value);
  };
  if (task.part != kWhole) return sum_segment(task.segment, sums_at(parts_.data() + task.part * sums_size_));
  const SoftmaxSums part = sums_at(member.part.data()), total = sums_at(member.total.data());
  for (size_t r = 0; r < rows.count(); ++r) rows.begin_sums(r, total);
  for (size_t segment = task.segment; segment < task.segment_end; ++segment) {
    sum_segment(segment, part);
    for (size_t r = 0; r < rows.count(); ++r) rows.join(kernels, part, total, r);
  }
  for (size_t r = 0; r < rows.count(); ++r) rows.give(kernels, total, r);
}

void RowAttention::join_parts(const Kernels& kernels, const Rows& rows, const Split& split, size_t row,
                              Member& member) {
  const SoftmaxSums total = sums_at(member.total.data());
  rows.begin_sums(row, total);
  for (size_t i = 0; i < split.parts; ++i)
    rows.join(kernels, sums_at(parts_.data() + (split.first_part + i) * sums_size_), total, row);
  rows.give(kernels, total, row);
}

}  // namespace tern
