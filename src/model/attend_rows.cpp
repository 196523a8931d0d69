#include "model/attend_rows.h"

#include <algorithm>

namespace tern {

namespace {

constexpr size_t kMostParts = 1024;  // with the widest values some 32 MB
constexpr size_t kFewestRows = 2;    // for which a task of their own pays

}  // namespace

RowAttention::RowAttention(const KeyValueShape& shape, const KeyValuePage& page, size_t group,
                           size_t max_tokens, int members)
    : shape_(shape),
      group_(group),
      value_(shape.value),
      members_(static_cast<size_t>(members),
               Member{SegmentAttention(shape, page), std::vector<float>(softmax_sums_size(shape.value)),
                      std::vector<float>(softmax_sums_size(shape.value))}) {
  tasks_.reserve(shape.heads * (max_tokens * group / kRowChunk + max_tokens) + kMostParts);
}

QueryRows RowAttention::rows_of(const BatchPlan& plan, const Queries& queries, const Task& task) const {
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
    const size_t share = std::max(kFewestRows, std::min((rows + members - 1) / members, kRowChunk / 3));
    const size_t chunk = few && !split ? share : kRowChunk;
    for (int head = 0; head < shape_.heads; ++head) {
      for (size_t row = 0; row < rows; row += chunk) {
        Task task = {uint32_t(p), uint32_t(head), uint32_t(row), uint32_t(std::min(rows, row + chunk))};
        const QueryRows some = rows_of(plan, queries, task);
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
  parts_.resize(std::max(parts_.size(), parts() * softmax_sums_size(value_)));
}

void RowAttention::run(const Compute& compute, const BatchPlan& plan, bool absorbed, const PagedCache& cache,
                       int layer, double work, const Queries& queries) {
  const Kernels& kernels = compute.kernels;
  cut(plan, absorbed, compute.team.size(), queries);
  parallel(compute.team, tasks_.size(), work, [&](size_t begin, size_t end, int index) {
    for (size_t i = begin; i < end; ++i)
      attend(kernels, cache, layer, rows_of(plan, queries, tasks_[i]), tasks_[i], members_[index]);
  });
  const double join_work = static_cast<double>(parts() * softmax_sums_size(value_));
  parallel(compute.team, splits_.size() * kRowChunk, join_work, [&](size_t begin, size_t end, int index) {
    for (size_t i = begin; i < end; ++i) {
      const Split& split = splits_[i / kRowChunk];
      const QueryRows rows = rows_of(plan, queries, split.rows);
      if (i % kRowChunk < rows.count()) join_parts(kernels, rows, split, i % kRowChunk, members_[index]);
    }
  });
}

void RowAttention::begin(const QueryRows& rows, size_t row, const SoftmaxRow& total) const {
  const float* sink = rows.sink(row);
  *total.most = sink ? *sink : kMasked;
  *total.sum = sink ? 1.0f : 0.0f;
  std::fill_n(total.acc, value_, 0.0f);
}

void RowAttention::give(const Kernels& kernels, const QueryRows& rows, size_t row,
                        const SoftmaxRow& total) const {
  kernels.scale(1.0f / *total.sum, value_, total.acc);
  std::copy_n(total.acc, value_, rows.out(row));
}

void RowAttention::attend(const Kernels& kernels, const PagedCache& cache, int layer, const QueryRows& rows,
                          const Task& task, Member& member) {
  member.segment.take(kernels, rows);
  const auto sum_segment = [&](size_t segment, const SoftmaxSums& to) {
    const std::byte* pages[kSegmentPages];
    const QueryRows::Range range = rows.pages(segment);
    for (size_t p = range.begin; p < range.end; ++p) {
      const auto position = static_cast<int>(segment * kSegment + p * kKeyBlock);
      pages[p] = cache.page(layer, rows.sequence(), position);
    }
    member.segment.sum(kernels, rows, segment, pages, task.kv_head, to);
  };
  if (task.part != kWhole) {
    float* part = parts_.data() + task.part * softmax_sums_size(value_);
    return sum_segment(task.segment, softmax_sums_at(part));
  }
  const SoftmaxSums part = softmax_sums_at(member.part.data());
  const SoftmaxSums total = softmax_sums_at(member.total.data());
  for (size_t r = 0; r < rows.count(); ++r) begin(rows, r, total.row(r, value_));
  for (size_t segment = task.segment; segment < task.segment_end; ++segment) {
    sum_segment(segment, part);
    for (size_t r = 0; r < rows.count(); ++r) total.row(r, value_).join(kernels, part.row(r, value_), value_);
  }
  for (size_t r = 0; r < rows.count(); ++r) give(kernels, rows, r, total.row(r, value_));
}

void RowAttention::join_parts(const Kernels& kernels, const QueryRows& rows, const Split& split, size_t row,
                              Member& member) {
  const SoftmaxRow total = softmax_sums_at(member.total.data()).row(row, value_);
  begin(rows, row, total);
  for (size_t i = 0; i < split.parts; ++i) {
    float* part = parts_.data() + (split.first_part + i) * softmax_sums_size(value_);
    total.join(kernels, softmax_sums_at(part).row(row, value_), value_);
  }
  give(kernels, rows, row, total);
}

}  // namespace tern
