#include "model/attention_gqa.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace tern {

GqaWeights load_gqa(TensorReader& reader, const GqaShape& shape, uint64_t hidden, int layer) {
  const std::string prefix = fmt::format("blk.{}.attn_", layer);
  const uint64_t q_width = uint64_t(shape.heads) * shape.key, k_width = uint64_t(shape.kv_heads) * shape.key;
  const uint64_t v_width = uint64_t(shape.kv_heads) * shape.value;
  GqaWeights weights;
  weights.q = reader.matrix(prefix + "q.weight", hidden, q_width);
  weights.k = reader.matrix(prefix + "k.weight", hidden, k_width);
  weights.v = reader.matrix(prefix + "v.weight", hidden, v_width);
  weights.out = reader.matrix(prefix + "output.weight", uint64_t(shape.heads) * shape.value, hidden);
  if (shape.qkv_bias) {
    weights.q_bias = reader.floats(prefix + "q.bias", {q_width});
    weights.k_bias = reader.floats(prefix + "k.bias", {k_width});
    weights.v_bias = reader.floats(prefix + "v.bias", {v_width});
  }
  if (shape.out_bias) weights.out_bias = reader.floats(prefix + "output.bias", {hidden});
  if (shape.qk_norm) {
    weights.q_norm = reader.floats(prefix + "q_norm.weight", {uint64_t(shape.key)});
    weights.k_norm = reader.floats(prefix + "k_norm.weight", {uint64_t(shape.key)});
  }
  if (shape.sinks) weights.sinks = reader.floats(prefix + "sinks.weight", {uint64_t(shape.heads)});
  return weights;
}

GqaAttention::GqaAttention(const GqaShape& shape, const KeyValuePage& page, const RopeParams& rope,
                           uint64_t hidden, float eps, size_t max_tokens, int members)
    : shape_(shape),
      hidden_(hidden),
      eps_(eps),
      rope_(rope, max_tokens),
      page_(page),
      rows_(shape.key_value(), page, shape.group(), max_tokens, members) {
  const size_t heads = shape.heads, kv_heads = shape.kv_heads;
  activations_.reserve(max_tokens, std::max(size_t{hidden}, heads * shape.value));
  q_.resize(max_tokens * heads * shape.key);
  k_.resize(max_tokens * kv_heads * shape.key);
  v_.resize(max_tokens * kv_heads * shape.value);
  heads_.resize(max_tokens * heads * shape.value);
}

void GqaAttention::prepare(const BatchPlan& plan) {
  for (size_t t = 0; t < plan.tokens(); ++t) rope_.set(t, plan.token(t).position);
}

void GqaAttention::forward(const Compute& compute, const GqaWeights& weights, const BatchPlan& plan,
                           PagedCache& cache, int layer, const float* x, float* y) {
  make_rows(compute, weights, plan, cache, layer, x);
  const int window = shape_.window(layer);
  rows_.run(compute, plan, false, cache, layer, score_work(plan, window),
            {.queries = q_.data(),
             .out = heads_.data(),
             .window = window,
             .sinks = shape_.sinks ? weights.sinks.data() : nullptr});
  const float* bias = shape_.out_bias ? weights.out_bias.data() : nullptr;
  project(compute, activations_, heads_.data(), static_cast<size_t>(shape_.heads) * shape_.value,
          plan.tokens(), {{&weights.out, y, hidden_, bias}});
}

void GqaAttention::make_rows(const Compute& compute, const GqaWeights& weights, const BatchPlan& plan,
                             PagedCache& cache, int layer, const float* x) {
  const size_t tokens = plan.tokens(), heads = shape_.heads, kv_heads = shape_.kv_heads;
  const size_t key = shape_.key, q_width = heads * key, k_width = kv_heads * key;
  const size_t v_width = kv_heads * shape_.value;
  const auto bias = [&](const std::vector<float>& b) { return shape_.qkv_bias ? b.data() : nullptr; };
  project(compute, activations_, x, hidden_, tokens,
          {{&weights.q, q_.data(), q_width, bias(weights.q_bias)},
           {&weights.k, k_.data(), k_width, bias(weights.k_bias)},
           {&weights.v, v_.data(), v_width, bias(weights.v_bias)}});
  const float scale = 1.0f / std::sqrt(static_cast<float>(key));
  const double work = 8.0 * static_cast<double>(tokens * (q_width + k_width));
  parallel(compute.team, tokens, work, [&](size_t begin, size_t end, int) {
    for (size_t t = begin; t < end; ++t) {
      float* q = q_.data() + t * q_width;
      float* k = k_.data() + t * k_width;
      for (size_t h = 0; h < heads; ++h) finish_head(compute.kernels, t, weights.q_norm, q + h * key);
      for (size_t h = 0; h < kv_heads; ++h) finish_head(compute.kernels, t, weights.k_norm, k + h * key);
      compute.kernels.scale(scale, q_width, q);
      const BatchToken& at = plan.token(t);
      std::byte* page = cache.page(layer, at.sequence, at.position);
      const size_t slot = at.position % KeyValuePage::kPageTokens;
      for (size_t h = 0; h < kv_heads; ++h)
        page_.put(compute.kernels, page, slot, h, k + h * key, v_.data() + t * v_width + h * shape_.value);
    }
  });
}

/// Norms and rotates one head's query or key.
void GqaAttention::finish_head(const Kernels& kernels, size_t token, const std::vector<float>& norm,
                               float* head) const {
  if (shape_.qk_norm) kernels.rms_norm(head, norm.data(), eps_, shape_.key, head);
  rope_.rotate(token, head);
}

double GqaAttention::score_work(const BatchPlan& plan, int window) const {
  double pairs = 0;
  for (const Piece& piece : plan.pieces()) {
    const double keys = piece.position + static_cast<double>(piece.count);
    pairs += static_cast<double>(piece.count) * (window > 0 ? std::min(keys, double(window)) : keys);
  }
  return pairs * shape_.heads * (shape_.key + shape_.value);
}

}  // namespace tern
