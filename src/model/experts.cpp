#include "model/experts.h"

#include <fmt/format.h>

#include <utility>

#include "base/checked.h"

namespace tern {

ExpertLease::ExpertLease(ExpertLease&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), weights_(std::exchange(other.weights_, nullptr)) {}

ExpertLease& ExpertLease::operator=(ExpertLease&& other) noexcept {
  if (this == &other) return *this;
  release();
  store_ = std::exchange(other.store_, nullptr);
  weights_ = std::exchange(other.weights_, nullptr);
  return *this;
}

void ExpertLease::release() {
  if (store_) --store_->leased_;
  store_ = nullptr;
  weights_ = nullptr;
}

void ExpertStore::add_layer(TensorReader& reader, int layer, const ExpertShape& shape) {
  const uint64_t hidden = shape.hidden, ff = shape.ff, experts = shape.experts;
  const std::string prefix = fmt::format("blk.{}.ffn_", layer);
  const GgufTensor& gate = reader.tensor(prefix + "gate_exps.weight", {hidden, ff, experts});
  const GgufTensor& up = reader.tensor(prefix + "up_exps.weight", {hidden, ff, experts});
  const GgufTensor& down = reader.tensor(prefix + "down_exps.weight", {ff, hidden, experts});
  const uint64_t gate_bytes = packed_bytes(gate.dtype(), ff, hidden);
  const uint64_t up_bytes = packed_bytes(up.dtype(), ff, hidden);
  const uint64_t down_bytes = packed_bytes(down.dtype(), hidden, ff);
  const uint64_t sum = checked_add(checked_add(gate_bytes, up_bytes, "expert"), down_bytes, "expert");
  const uint64_t extent = round_up(sum, kPage);
  std::byte* base = reader.memory().take(checked_mul(extent, experts, "experts"), kPage);

  layers_.resize(layer + 1);
  Layer& made = layers_[layer];
  made.extent = extent;
  made.experts.resize(experts);
  if (shape.bias) {
    made.gate_bias = reader.floats(prefix + "gate_exps.bias", {ff, experts});
    made.up_bias = reader.floats(prefix + "up_exps.bias", {ff, experts});
    made.down_bias = reader.floats(prefix + "down_exps.bias", {hidden, experts});
  }
  for (uint64_t e = 0; base && e < experts; ++e) {
    std::byte* at = base + e * extent;
    GatedWeights& expert = made.experts[e];
    expert.gate = {gate.dtype(), ff, hidden, at};
    expert.up = {up.dtype(), ff, hidden, at + gate_bytes};
    expert.down = {down.dtype(), hidden, ff, at + gate_bytes + up_bytes};
    expert.gating = shape.gating;
    if (shape.bias) {
      expert.gate_bias = made.gate_bias.data() + e * ff;
      expert.up_bias = made.up_bias.data() + e * ff;
      expert.down_bias = made.down_bias.data() + e * hidden;
    }
  }
  pack_experts(reader, made, gate, up, down);
}

void ExpertStore::pack_experts(TensorReader& reader, const Layer& layer, const GgufTensor& gate,
                               const GgufTensor& up, const GgufTensor& down) {
  const auto pack_part = [&](const GgufTensor& tensor, PackedMatrix GatedWeights::*part) {
    std::vector<PackedMatrix> all;
    for (const GatedWeights& expert : layer.experts) all.push_back(expert.*part);
    reader.pack_all(tensor, all);
  };
  pack_part(gate, &GatedWeights::gate);
  pack_part(up, &GatedWeights::up);
  pack_part(down, &GatedWeights::down);
}

ExpertLease ExpertStore::acquire(int layer, int expert) {
  ++leased_;
  return {this, &layers_[layer].experts[expert]};
}

}  // namespace tern
