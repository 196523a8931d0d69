#include "model/decompressed_attention.h"

#include <algorithm>

namespace tern {

DecompressedAttention::DecompressedAttention(const MlaShape& shape, const KeyValuePage& latents,
                                             size_t max_tokens, int members)
    : shape_(shape),
      latents_page_(latents),
      page_(CacheType::f32, {1, shape.qk(), shape.v}),
      members_(static_cast<size_t>(members), Member{SegmentAttention({1, shape.qk(), shape.v}, page_)}),
      latents_(kMostSegments * kSegment * shape.latent_key()),
      most_(max_tokens * shape.heads),
      sum_(max_tokens * shape.heads) {
  for (Member& member : members_) {
    member.keys.resize(kSegment * shape.qk());
    member.values.resize(kSegment * shape.v);
    member.pages.resize(kSegmentPages * page_.bytes() / sizeof(Line));
    member.part.resize(softmax_sums_size(shape.v));
  }
  units_.reserve(max_tokens);
  runs_.reserve(kMostSegments);
  rows_.reserve(kMostSegments * kSegment, shape.kv_rank);
}

void DecompressedAttention::list_units(const BatchPlan& plan) {
  units_.clear();
  for (const Piece& piece : plan.pieces()) {
    if (piece.absorbed) continue;
    const auto segments = (static_cast<size_t>(piece.end()) + kSegment - 1) / kSegment;
    for (size_t segment = 0; segment < segments; ++segment) units_.push_back({&piece, segment});
  }
}

SoftmaxRow DecompressedAttention::total(size_t token, size_t head, const Queries& queries) {
  const size_t i = token * shape_.heads + head;
  return {&most_[i], &sum_[i], queries.out + i * shape_.v};
}

void DecompressedAttention::run(const Compute& compute, const MlaWeights& weights, const BatchPlan& plan,
                                const PagedCache& cache, int layer, double work, const Queries& queries) {
  const size_t heads = shape_.heads;
  list_units(plan);
  for (size_t first = 0; first < units_.size(); first += kMostSegments) {
    const size_t count = std::min(kMostSegments, units_.size() - first);
    const Unit* units = units_.data() + first;
    read_latents(compute, weights, cache, layer, units, count);
    runs_.clear();
    for (size_t i = 0; i < count; ++i) {
      if (i == 0 || units[i].piece != units[i - 1].piece) runs_.push_back({i, i});
      runs_.back().end = i + 1;
    }
    const double share = static_cast<double>(count) / static_cast<double>(units_.size());
    parallel(compute.team, runs_.size() * heads, work * share, [&](size_t begin, size_t end, int index) {
      for (size_t i = begin; i < end; ++i) {
        const Run& run = runs_[i / heads];
        for (size_t slot = run.begin; slot < run.end; ++slot)
          attend(compute.kernels, weights, units[slot], slot, i % heads, queries, members_[index]);
      }
    });
  }
}

/// The units' latents as floats and as activations, shared out by pages.
void DecompressedAttention::read_latents(const Compute& compute, const MlaWeights& weights,
                                         const PagedCache& cache, int layer, const Unit* units,
                                         size_t count) {
  const size_t width = shape_.latent_key(), rank = shape_.kv_rank;
  rows_.point(latents_.data(), width, count * kSegment, rank,
              needs_quantized(weights.up_k[0]) || needs_quantized(weights.up_v[0]));
  size_t keys = 0;
  for (size_t i = 0; i < count; ++i) keys += units[i].keys();
  const double work = 4.0 * static_cast<double>(keys * width);
  parallel(compute.team, count * kSegmentPages, work, [&](size_t begin, size_t end, int) {
    for (size_t i = begin; i < end; ++i) {
      const Unit& unit = units[i / kSegmentPages];
      const size_t from = i % kSegmentPages * kKeyBlock;
      if (from >= unit.keys()) continue;
      const size_t first = i * kKeyBlock, tokens = std::min(kKeyBlock, unit.keys() - from);
      const auto* page = cache.page(layer, unit.piece->sequence, static_cast<int>(unit.start() + from));
      latents_page_.read_keys(page, 0, tokens, latents_.data() + first * width);
      if (rows_.quantized) rows_.quantize_tokens(compute.kernels, first, first + tokens);
    }
  });
}

/// What the unit's queries of one head get of its keys; its latents are those of segment `slot`.
void DecompressedAttention::attend(const Kernels& kernels, const MlaWeights& weights, const Unit& unit,
                                   size_t slot, size_t head, const Queries& queries, Member& member) {
  if (unit.segment == 0) {
    for (size_t t = 0; t < unit.piece->count; ++t) {
      const SoftmaxRow row = total(unit.piece->first + t, head, queries);
      *row.most = kMasked;
      *row.sum = 0;
      std::fill_n(row.acc, shape_.v, 0.0f);
    }
  }
  decompress(kernels, weights, slot, unit.keys(), head, member);
  attend_rows(kernels, unit, head, queries, member);
  if (unit.last()) finish(kernels, *unit.piece, head, queries);
}

void DecompressedAttention::decompress(const Kernels& kernels, const MlaWeights& weights, size_t slot,
                                       size_t keys, size_t head, Member& member) {
  const size_t qk = shape_.qk(), nope = shape_.nope, v = shape_.v, width = shape_.latent_key();
  const PackedMatrix &up_k = weights.up_k[head], &up_v = weights.up_v[head];
  const ActivationRows latents = rows_.rows(slot * kSegment, keys);
  kernels.matmul(up_k, latents, member.keys.data(), qk, 0, up_k.panels(), false);
  kernels.matmul(up_v, latents, member.values.data(), v, 0, up_v.panels(), false);
  auto* pages = reinterpret_cast<std::byte*>(member.pages.data());
  for (size_t key = 0; key < keys; ++key) {
    float* row = member.keys.data() + key * qk;
    std::copy_n(latents.x + key * width + shape_.kv_rank, shape_.rope, row + nope);
    page_.put(kernels, pages + key / kKeyBlock * page_.bytes(), key % kKeyBlock, 0, row,
              member.values.data() + key * v);
  }
}

void DecompressedAttention::attend_rows(const Kernels& kernels, const Unit& unit, size_t head,
                                        const Queries& queries, Member& member) {
  const Piece& piece = *unit.piece;
  const size_t v = shape_.v, position = static_cast<size_t>(piece.position);
  const std::byte* pages[kSegmentPages];
  for (size_t p = 0; p < kSegmentPages; ++p)
    pages[p] = reinterpret_cast<const std::byte*>(member.pages.data()) + p * page_.bytes();
  const SoftmaxSums part = softmax_sums_at(member.part.data());
  // Tokens before the segment see none of its keys.
  for (size_t begin = unit.start() > position ? unit.start() - position : 0; begin < piece.count;
       begin += kRowChunk) {
    const size_t end = std::min(piece.count, begin + kRowChunk);
    const QueryRows rows(piece, queries, {shape_.heads, shape_.qk(), shape_.v}, 1, head, begin, end);
    member.segment.take(kernels, rows);
    member.segment.sum(kernels, rows, unit.segment, pages, 0, part);
    for (size_t r = 0; r < rows.count(); ++r)
      total(piece.first + begin + r, head, queries).join(kernels, part.row(r, v), v);
  }
}

void DecompressedAttention::finish(const Kernels& kernels, const Piece& piece, size_t head,
                                   const Queries& queries) {
  for (size_t t = 0; t < piece.count; ++t) {
    const SoftmaxRow row = total(piece.first + t, head, queries);
    kernels.scale(1.0f / *row.sum, shape_.v, row.acc);
  }
}

}  // namespace tern
