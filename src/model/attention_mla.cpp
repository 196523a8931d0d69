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
  const double n = kPromptPass;
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
      member_activations_(members),
      page_(page),
      absorbed_(shape.key_value(), page, shape.heads, max_tokens, members),
      decompressed_(shape, page, max_tokens, members) {
  const size_t heads = shape.heads, rank = shape.kv_rank;
  activations_.reserve(max_tokens, std::max({size_t{hidden}, size_t(shape.q_rank), heads * shape.v}));
  for (Activations& one : member_activations_) one.reserve(max_tokens, std::max<size_t>(shape.nope, rank));
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
  if (plan.absorbed_tokens() < plan.tokens()) {
    decompressed_.run(compute, weights, plan, cache, layer, score_work(plan, false),
                      {.queries = q_.data(), .out = heads_.data()});
  }
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

void MlaAttention::attend_absorbed(const Compute& compute, const MlaWeights& weights, const BatchPlan& plan,
                                   const PagedCache& cache, int layer) {
  const Kernels& kernels = compute.kernels;
  const size_t tokens = plan.absorbed_tokens(), heads = shape_.heads;
  const size_t rank = shape_.kv_rank, row = shape_.latent_key(), v = shape_.v, qk = shape_.qk();
  const double head_work = static_cast<double>(tokens) * static_cast<double>(heads * rank);

  // Queries into the latent space: q' = W_UK^T q, with the roped part behind it as the cached rows have it.
  parallel(compute.team, heads, head_work * shape_.nope, [&](size_t begin, size_t end, int index) {
    Activations& activations = member_activations_[index];
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

  absorbed_.run(compute, plan, true, cache, layer, score_work(plan, true),
                {.queries = absorbed_q_.data(), .out = latent_.data()});

  // And out of it again: each head's value is W_UV times its latent.
  parallel(compute.team, heads, head_work * static_cast<double>(v), [&](size_t begin, size_t end, int index) {
    Activations& activations = member_activations_[index];
    for (size_t h = begin; h < end; ++h) {
      const PackedMatrix& w = weights.up_v[h];
      activations.set(kernels, latent_.data() + h * rank, heads * rank, tokens, rank, needs_quantized(w));
      kernels.matmul(w, activations, heads_.data() + h * v, heads * v, 0, w.panels(), false);
    }
  });
}

}  // namespace tern
