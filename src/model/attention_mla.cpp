#include "model/attention_mla.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace tern {

int absorbed_from(const MlaShape& shape) {
  // Multiply-adds of one head. Each query absorbed costs what each key decompressed does, so the new tokens
  // cancel and only the cached keys count; against that stands what absorbed scores and sums cost more per
  // query and key: n * cached + n (n + 1) / 2 of them.
  const double decompress_key = static_cast<double>(shape.kv_rank) * (shape.nope + shape.v);
  const double more_a_pair = (2.0 * shape.kv_rank + shape.rope) - (shape.nope + shape.rope + shape.v);
  if (more_a_pair <= 0) return 0;
  const double n = kUsualPiece;
  const double gain = decompress_key - n * more_a_pair;  // of a cached key
  if (gain <= 0) return kNever;
  const double cached = n * (n + 1) / 2 * more_a_pair / gain;
  constexpr int kFarthest = 1 << 20;  // beyond every context that is worth the difference
  return cached > kFarthest
             ? kNever
             : PagedCache::pages_for(static_cast<int>(std::ceil(cached))) * PagedCache::kPageTokens;
}

MlaAttention::MlaAttention(const MlaShape& shape, const KeyValuePage& page, const RopeParams& rope,
                           uint64_t hidden, float eps, size_t max_tokens, int members)
    : shape_(shape),
      hidden_(hidden),
      eps_(eps),
      rope_(rope, max_tokens),
      members_(members),
      page_(page),
      rows_(shape.key_value(), page, shape.heads, max_tokens, members) {
  const size_t heads = shape.heads, rank = shape.kv_rank;
  activations_.reserve(max_tokens, std::max({size_t{hidden}, size_t(shape.q_rank), heads * shape.v}));
  for (Member& member : members_) {
    member.activations.reserve(std::max(max_tokens, kBlock), std::max<size_t>(shape.nope, rank));
    member.latents.resize(kBlock * shape.latent_key());
    member.scores.resize(max_tokens * kBlock);
    member.keys.resize(kBlock * shape.nope);
    member.keys_t.resize(shape.qk() * kBlock);
    member.values.resize(kBlock * shape.v);
    member.most.resize(max_tokens);
    member.sum.resize(max_tokens);
  }
  pieces_.reserve(max_tokens);
  q_a_.resize(max_tokens * shape.q_rank);
  q_.resize(max_tokens * heads * shape.qk());
  kv_.resize(max_tokens * shape.latent_key());
  absorbed_q_.resize(max_tokens * heads * shape.latent_key());
  latent_.resize(max_tokens * heads * rank);
  heads_.resize(max_tokens * heads * shape.v);
}

void MlaAttention::prepare(const BatchPlan& plan) {
  for (size_t t = 0; t < plan.tokens(); ++t) rope_.set(t, plan.token(t).position);
}

void MlaAttention::forward(const Compute& compute, const MlaWeights& weights, const BatchPlan& plan,
                           PagedCache& cache, int layer, const float* x, float* y) {
  make_queries_and_rows(compute, weights, plan, cache, layer, x);
  if (plan.absorbed_tokens() > 0) attend_absorbed(compute, weights, plan, cache, layer);
  if (plan.absorbed_tokens() < plan.tokens()) attend_decompressed(compute, weights, plan, cache, layer);
  const size_t width = static_cast<size_t>(shape_.heads) * shape_.v;
  project(compute, activations_, heads_.data(), width, plan.tokens(), {{&weights.out, y, hidden_}});
}

void MlaAttention::make_queries_and_rows(const Compute& compute, const MlaWeights& weights,
                                         const BatchPlan& plan, PagedCache& cache, int layer,
                                         const float* x) {
  const Kernels& kernels = compute.kernels;
  const size_t tokens = plan.tokens(), q_width = static_cast<size_t>(shape_.heads) * shape_.qk();
  const size_t kv_width = shape_.latent_key(), q_rank = shape_.q_rank;
  const Projection kv_a{&weights.kv_a, kv_.data(), kv_width};
  if (q_rank > 0) {
    project(compute, activations_, x, hidden_, tokens, {{&weights.q_a, q_a_.data(), q_rank}, kv_a});
    for (size_t t = 0; t < tokens; ++t) {
      float* row = q_a_.data() + t * q_rank;
      kernels.rms_norm(row, weights.q_a_norm.data(), eps_, q_rank, row);
    }
    project(compute, activations_, q_a_.data(), q_rank, tokens, {{&weights.q_b, q_.data(), q_width}});
  } else {
    project(compute, activations_, x, hidden_, tokens, {{&weights.q, q_.data(), q_width}, kv_a});
  }
  parallel(compute.team, tokens, 4.0 * static_cast<double>(tokens * q_width),
           [&](size_t begin, size_t end, int) {
             for (size_t t = begin; t < end; ++t) {
               float* q = q_.data() + t * q_width;
               for (int h = 0; h < shape_.heads; ++h) rope_.rotate(t, q + h * shape_.qk() + shape_.nope);
               kernels.scale(shape_.scale, q_width, q);
               float* kv = kv_.data() + t * kv_width;
               kernels.rms_norm(kv, weights.kv_a_norm.data(), eps_, shape_.kv_rank, kv);
               rope_.rotate(t, kv + shape_.kv_rank);
               const BatchToken& at = plan.token(t);
               page_.put(kernels, cache.page(layer, at.sequence, at.position),
                         at.position % KeyValuePage::kPageTokens, 0, kv, kv);
             }
           });
}

double MlaAttention::score_work(const BatchPlan& plan, bool absorbed) const {
  const double pair = absorbed ? 2.0 * shape_.kv_rank + shape_.rope : shape_.qk() + shape_.v;
  double work = 0;
  for (const Piece& piece : plan.pieces()) {
    if (piece.absorbed != absorbed) continue;
    const double keys = piece.position + static_cast<double>(piece.count);
    if (!absorbed) work += keys * shape_.kv_rank * (shape_.nope + shape_.v);
    work += static_cast<double>(piece.count) * keys * pair;
  }
  return work * shape_.heads;
}

// ---- absorbed

void MlaAttention::attend_absorbed(const Compute& compute, const MlaWeights& weights, const BatchPlan& plan,
                                   const PagedCache& cache, int layer) {
  const Kernels& kernels = compute.kernels;
  const size_t tokens = plan.absorbed_tokens(), heads = shape_.heads;
  const size_t rank = shape_.kv_rank, row = shape_.latent_key(), v = shape_.v, qk = shape_.qk();
  const double head_work = static_cast<double>(tokens) * static_cast<double>(heads * rank);

  // Queries into the latent space: q' = W_UK^T q, with the roped part behind it as the cached rows have it.
  parallel(compute.team, heads, head_work * shape_.nope, [&](size_t begin, size_t end, int index) {
    Activations& activations = members_[index].activations;
    for (size_t h = begin; h < end; ++h) {
      const PackedMatrix& w = weights.absorb_k[h];
      const float* q = q_.data() + h * qk;
      float* absorbed = absorbed_q_.data() + h * row;
      activations.set(kernels, q, heads * qk, tokens, shape_.nope, needs_quantized(w));
      kernels.matmul(w, activations, absorbed, heads * row, 0, w.panels(), false);
      for (size_t t = 0; t < tokens; ++t) {
        std::memcpy(absorbed + t * heads * row + rank, q + t * heads * qk + shape_.nope,
                    shape_.rope * sizeof(float));
      }
    }
  });

  rows_.run(compute, plan, true, cache, layer, score_work(plan, true),
            {.queries = absorbed_q_.data(), .out = latent_.data()});

  // And out of it again: each head's value is W_UV times its latent.
  parallel(compute.team, heads, head_work * static_cast<double>(v), [&](size_t begin, size_t end, int index) {
    Activations& activations = members_[index].activations;
    for (size_t h = begin; h < end; ++h) {
      const PackedMatrix& w = weights.up_v[h];
      activations.set(kernels, latent_.data() + h * rank, heads * rank, tokens, rank, needs_quantized(w));
      kernels.matmul(w, activations, heads_.data() + h * v, heads * v, 0, w.panels(), false);
    }
  });
}

// ---- decompressed

namespace {

/// One more block of scores {block} for a running softmax: scores become weights, and what was summed so far
/// into acc {n} and sum is scaled down to the new maximum. At least one score is not kMasked.
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

}  // namespace

void MlaAttention::attend_decompressed(const Compute& compute, const MlaWeights& weights,
                                       const BatchPlan& plan, const PagedCache& cache, int layer) {
  const size_t heads = shape_.heads;
  pieces_.clear();
  for (const Piece& piece : plan.pieces()) {
    if (!piece.absorbed) pieces_.push_back(&piece);
  }
  parallel(compute.team, pieces_.size() * heads, score_work(plan, false),
           [&](size_t begin, size_t end, int index) {
             for (size_t i = begin; i < end; ++i) {
               decompressed_head(compute.kernels, weights, *pieces_[i / heads], static_cast<int>(i % heads),
                                 cache, layer, members_[index]);
             }
           });
}

void MlaAttention::decompress_block(const Kernels& kernels, const MlaWeights& weights, int head, size_t keys,
                                    Member& member) {
  const size_t rank = shape_.kv_rank, width = shape_.latent_key(), nope = shape_.nope, v = shape_.v;
  const PackedMatrix &up_k = weights.up_k[head], &up_v = weights.up_v[head];
  const float* latents = member.latents.data();
  member.activations.set(kernels, latents, width, keys, rank, needs_quantized(up_v));
  kernels.matmul(up_k, member.activations, member.keys.data(), nope, 0, up_k.panels(), false);
  for (size_t key = 0; key < keys; ++key) {
    for (size_t c = 0; c < nope; ++c) member.keys_t[c * kBlock + key] = member.keys[key * nope + c];
    const float* roped = latents + key * width + rank;
    for (int c = 0; c < shape_.rope; ++c) member.keys_t[(nope + c) * kBlock + key] = roped[c];
  }
  kernels.matmul(up_v, member.activations, member.values.data(), v, 0, up_v.panels(), false);
}

void MlaAttention::decompressed_head(const Kernels& kernels, const MlaWeights& weights, const Piece& piece,
                                     int head, const PagedCache& cache, int layer, Member& member) {
  const size_t heads = shape_.heads, qk = shape_.qk(), v = shape_.v;
  const size_t q_width = heads * qk, out_width = heads * v, count = piece.count;
  const float* queries = q_.data() + piece.first * q_width + head * qk;
  float* out = heads_.data() + piece.first * out_width + head * v;
  for (size_t t = 0; t < count; ++t) std::fill_n(out + t * out_width, v, 0.0f);
  std::fill_n(member.sum.data(), count, 0.0f);
  std::fill_n(member.most.data(), count, kMasked);

  const size_t position = piece.position, last = position + count - 1;
  for (size_t start = 0; start <= last; start += kBlock) {
    const size_t keys = std::min(kBlock, last + 1 - start);
    page_.read_keys(cache.page(layer, piece.sequence, static_cast<int>(start)), 0, keys,
                    member.latents.data());
    decompress_block(kernels, weights, head, keys, member);
    // Tokens from `seeing` on see keys of this block, from `whole` on all that a block can hold.
    const size_t seeing = start > position ? start - position : 0;
    const size_t whole = std::min(count, start + kBlock - 1 > position ? start + kBlock - 1 - position : 0);
    kernels.gemm(queries + seeing * q_width, q_width, member.keys_t.data(), kBlock,
                 member.scores.data() + seeing * kBlock, kBlock, count - seeing, keys, qk, false);
    for (size_t t = seeing; t < count; ++t) {
      float* scores = member.scores.data() + t * kBlock;
      const size_t visible = std::min(kBlock, position + t + 1 - start);
      std::fill(scores + visible, scores + kBlock, kMasked);
      soften(kernels, scores, kBlock, member.most[t], member.sum[t], out + t * out_width, v);
      if (t < whole) {
        kernels.gemm(scores, kBlock, member.values.data(), v, out + t * out_width, out_width, 1, v, visible,
                     true);
      }
    }
    if (whole < count) {
      const size_t from = std::max(seeing, whole);
      kernels.gemm(member.scores.data() + from * kBlock, kBlock, member.values.data(), v,
                   out + from * out_width, out_width, count - from, v, kBlock, true);
    }
  }
  for (size_t t = 0; t < count; ++t) kernels.scale(1.0f / member.sum[t], v, out + t * out_width);
}

}  // namespace tern
