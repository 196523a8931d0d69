#include "model/pass_meter.h"

#include <algorithm>

namespace tern {
namespace {

uint64_t bytes_of(const PackedMatrix& matrix) {
  return matrix.rows == 0 ? 0 : packed_bytes(matrix.type, matrix.rows, matrix.cols);
}

uint64_t bytes_of(const std::vector<PackedMatrix>& matrices) {
  uint64_t sum = 0;
  for (const PackedMatrix& matrix : matrices) sum += bytes_of(matrix);
  return sum;
}

uint64_t bytes_of(const GatedWeights& weights) {
  return bytes_of(weights.gate) + bytes_of(weights.up) + bytes_of(weights.down);
}

}  // namespace

PassMeter::PassMeter(const DecoderShape& shape, DecoderWeights& weights, uint64_t cache_page)
    : cache_page_(cache_page), dense_layers_(shape.dense_layers), experts_(shape.router.experts) {
  for (int i = 0; i < shape.layers; ++i) add_layer(i, shape, weights.layers[i], weights.experts);
  if (weights.draft) add_layer(shape.layers, shape, weights.draft->layer, weights.experts);
  const size_t with_experts = layers_.size() - std::min<size_t>(shape.dense_layers, layers_.size());
  choices_ = std::vector<std::atomic<uint64_t>>(with_experts * experts_);
}

void PassMeter::add_layer(int index, const DecoderShape& shape, const DecoderLayer& weights,
                          ExpertStore& experts) {
  Layer& layer = layers_.emplace_back();
  if (std::holds_alternative<MlaShape>(shape.attention)) {
    measure(std::get<MlaWeights>(weights.attention), layer);
  } else {
    measure(std::get<GqaWeights>(weights.attention), layer);
    layer.window = std::get<GqaShape>(shape.attention).window(index);
  }
  layer.ffn = bytes_of(weights.dense) + bytes_of(weights.moe.gate) + bytes_of(weights.moe.shared);
  if (!shape.is_dense(index)) layer.expert = bytes_of(*experts.acquire(index, 0));
}

void PassMeter::measure(const MlaWeights& weights, Layer& layer) {
  for (const PackedMatrix* matrix : {&weights.q, &weights.q_a, &weights.q_b, &weights.kv_a, &weights.out})
    layer.attention += bytes_of(*matrix);
  layer.attention += bytes_of(weights.up_v);  // both ways make values from latents
  layer.absorbed = bytes_of(weights.absorb_k);
  layer.decompressed = bytes_of(weights.up_k);
}

void PassMeter::measure(const GqaWeights& weights, Layer& layer) {
  for (const PackedMatrix* matrix : {&weights.q, &weights.k, &weights.v, &weights.out})
    layer.attention += bytes_of(*matrix);
}

void PassMeter::attended(int index, const BatchPlan& plan) {
  const Layer& layer = layers_[index];
  uint64_t rows = 0;
  for (const Piece& piece : plan.pieces()) {
    const uint64_t all = static_cast<uint64_t>(piece.position) + piece.count;
    rows += layer.window > 0 ? std::min(all, layer.window + piece.count - 1) : all;
  }
  statistics_.bytes += layer.attention + rows * cache_page_ / PagedCache::kPageTokens;
  if (plan.absorbed_tokens() > 0) statistics_.bytes += layer.absorbed;
  if (plan.absorbed_tokens() < plan.tokens()) statistics_.bytes += layer.decompressed;
}

void PassMeter::ran_experts(int index, const MoeLayer& moe) {
  statistics_.bytes += layers_[index].expert * moe.distinct().size();
  std::atomic<uint64_t>* row = choices_.data() + size_t(index - dense_layers_) * experts_;
  for (const int32_t expert : moe.distinct()) {
    const uint64_t before = row[expert].load(std::memory_order_relaxed);
    row[expert].store(before + moe.tokens_of(expert), std::memory_order_relaxed);
  }
}

void PassMeter::read(const PackedMatrix& matrix) {
  statistics_.bytes += bytes_of(matrix);
}

void PassMeter::finished(size_t tokens) {
  ++statistics_.passes;
  statistics_.tokens += tokens;
}

std::vector<uint64_t> PassMeter::expert_choices() const {
  std::vector<uint64_t> counts(choices_.size());
  std::transform(choices_.begin(), choices_.end(), counts.begin(),
                 [](const auto& count) { return count.load(std::memory_order_relaxed); });
  return counts;
}

}  // namespace tern
