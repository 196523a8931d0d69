#include <fmt/format.h>

#include "base/checked.h"
#include "model/deepseek2.h"

namespace tern {

namespace {

GatedWeights load_gated(TensorReader& reader, const std::string& prefix, const std::string& suffix,
                        uint64_t hidden, uint64_t ff) {
  GatedWeights weights;
  weights.gate = reader.matrix(prefix + "gate" + suffix, hidden, ff);
  weights.up = reader.matrix(prefix + "up" + suffix, hidden, ff);
  weights.down = reader.matrix(prefix + "down" + suffix, ff, hidden);
  return weights;
}

MoeWeights load_moe(TensorReader& reader, const Deepseek2Shape& shape, int layer) {
  const uint64_t hidden = shape.hidden, experts = shape.router.experts;
  const std::string prefix = fmt::format("blk.{}.", layer);
  MoeWeights weights;
  // The gate decides by small differences, so it is computed in F32 whatever the file holds.
  const std::vector<float> gate = reader.floats(prefix + "ffn_gate_inp.weight", {hidden, experts});
  weights.gate =
      reader.pack_rows(DType::f32, reinterpret_cast<const std::byte*>(gate.data()), experts, hidden);
  if (reader.has(prefix + "exp_probs_b.bias"))
    weights.bias = reader.floats(prefix + "exp_probs_b.bias", {experts});
  if (shape.shared_experts > 0) {
    const uint64_t ff = checked_mul(shape.expert_ff, shape.shared_experts, "shared experts");
    weights.shared = load_gated(reader, prefix + "ffn_", "_shexp.weight", hidden, ff);
  }
  return weights;
}

}  // namespace

std::unique_ptr<Deepseek2Weights> load_deepseek2_weights(const GgufFile& file, const Deepseek2Shape& shape,
                                                         ThreadTeam& team, WeightMemory memory) {
  auto weights = std::make_unique<Deepseek2Weights>();
  weights->memory = std::move(memory);
  TensorReader reader(file, weights->memory, team);
  const uint64_t hidden = shape.hidden, vocab = shape.vocab;
  weights->embedding = Embedding(reader, "token_embd.weight", hidden, vocab);
  for (int i = 0; i < shape.layers; ++i) {
    const std::string prefix = fmt::format("blk.{}.", i);
    Deepseek2Layer& layer = weights->layers.emplace_back();
    layer.attention_norm = reader.floats(prefix + "attn_norm.weight", {hidden});
    layer.attention = load_mla(reader, shape.attention, hidden, i);
    layer.ffn_norm = reader.floats(prefix + "ffn_norm.weight", {hidden});
    if (shape.is_dense(i)) {
      layer.dense = load_gated(reader, prefix + "ffn_", ".weight", hidden, shape.dense_ff);
    } else {
      layer.moe = load_moe(reader, shape, i);
      weights->experts.add_layer(reader, i, hidden, shape.expert_ff, shape.router.experts);
    }
  }
  weights->output_norm = reader.floats("output_norm.weight", {hidden});
  weights->output =
      reader.matrix(reader.has("output.weight") ? "output.weight" : "token_embd.weight", hidden, vocab);
  // Draft layers stand behind the model's own and are the only tensors that may stay unread.
  std::vector<std::string> drafts;
  for (int i = 0; i < shape.draft_layers; ++i) drafts.push_back(fmt::format("blk.{}.", shape.layers + i));
  reader.refuse_unread("deepseek2", drafts);
  weights->weights = reader.weights();
  return weights;
}

}  // namespace tern
