#include <fmt/format.h>

#include <algorithm>

#include "base/checked.h"
#include "model/decoder.h"

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

MoeWeights load_moe(TensorReader& reader, const DecoderShape& shape, int layer) {
  const uint64_t hidden = shape.hidden, experts = shape.router.experts;
  const std::string prefix = fmt::format("blk.{}.", layer);
  MoeWeights weights;
  // The gate decides by small differences, so it is computed in F32 whatever the file holds.
  const std::vector<float> gate = reader.floats(prefix + "ffn_gate_inp.weight", {hidden, experts});
  weights.gate =
      reader.pack_rows(DType::f32, reinterpret_cast<const std::byte*>(gate.data()), experts, hidden);
  if (shape.router_bias) weights.gate_bias = reader.floats(prefix + "ffn_gate_inp.bias", {experts});
  if (reader.has(prefix + "exp_probs_b.bias"))
    weights.bias = reader.floats(prefix + "exp_probs_b.bias", {experts});
  if (shape.shared_experts > 0) {
    const uint64_t ff = checked_mul(shape.expert_ff, shape.shared_experts, "shared experts");
    weights.shared = load_gated(reader, prefix + "ffn_", "_shexp.weight", hidden, ff);
  }
  return weights;
}

DecoderLayer load_layer(TensorReader& reader, const DecoderShape& shape, int index, ExpertStore& experts) {
  const uint64_t hidden = shape.hidden;
  const std::string prefix = fmt::format("blk.{}.", index);
  DecoderLayer layer;
  layer.attention_norm = reader.floats(prefix + "attn_norm.weight", {hidden});
  if (const auto* mla = std::get_if<MlaShape>(&shape.attention)) {
    layer.attention = load_mla(reader, *mla, hidden, index);
  } else {
    layer.attention = load_gqa(reader, std::get<GqaShape>(shape.attention), hidden, index);
  }
  layer.ffn_norm = reader.floats(fmt::format("{}{}.weight", prefix, shape.ffn_norm), {hidden});
  if (shape.is_dense(index)) {
    layer.dense = load_gated(reader, prefix + "ffn_", ".weight", hidden, shape.dense_ff);
    layer.dense.gating = shape.gating;
  } else {
    layer.moe = load_moe(reader, shape, index);
    experts.add_layer(
        reader, index,
        {hidden, uint64_t(shape.expert_ff), uint64_t(shape.router.experts), shape.expert_bias, shape.gating});
  }
  return layer;
}

/// The head's tensor: the embedding where the file ties the two.
std::string head_of(const TensorReader& reader) {
  return reader.has("output.weight") ? "output.weight" : "token_embd.weight";
}

/// Whether a draft layer brings a table of its own: one that is no copy of the model's.
bool brings_own(TensorReader& reader, const std::string& name, const std::string& original,
                const TensorReader::Dims& dims) {
  if (!reader.has(name)) return false;
  const GgufTensor& table = reader.tensor(name, dims);
  const GgufTensor& model = reader.tensor(original, dims);
  if (table.ggml_type != model.ggml_type || reader.memory().only_counts()) return true;
  const TensorBytes a = table.load(), b = model.load();
  return !std::ranges::equal(a.span(), b.span());
}

DraftLayer load_draft(TensorReader& reader, const DecoderShape& shape, int index, DecoderWeights& weights) {
  const uint64_t hidden = shape.hidden, vocab = shape.vocab;
  const std::string prefix = fmt::format("blk.{}.nextn.", index);
  DraftLayer draft;
  draft.embedding_norm = reader.floats(prefix + "enorm.weight", {hidden});
  draft.hidden_norm = reader.floats(prefix + "hnorm.weight", {hidden});
  draft.join = reader.matrix(prefix + "eh_proj.weight", 2 * hidden, hidden);
  const std::string norm = prefix + "shared_head_norm.weight";
  draft.output_norm = reader.has(norm) ? reader.floats(norm, {hidden}) : weights.output_norm;
  const std::string table = prefix + "embed_tokens.weight", head = prefix + "shared_head_head.weight";
  if (brings_own(reader, table, "token_embd.weight", {hidden, vocab}))
    draft.embedding = Embedding(reader, table, hidden, vocab);
  if (brings_own(reader, head, head_of(reader), {hidden, vocab}))
    draft.output = reader.matrix(head, hidden, vocab);
  draft.layer = load_layer(reader, shape, index, weights.experts);
  return draft;
}

void load_all(TensorReader& reader, const DecoderShape& shape, bool draft, DecoderWeights& weights) {
  const uint64_t hidden = shape.hidden, vocab = shape.vocab;
  weights.embedding = Embedding(reader, "token_embd.weight", hidden, vocab);
  for (int i = 0; i < shape.layers; ++i) {
    weights.layers.push_back(load_layer(reader, shape, i, weights.experts));
  }
  weights.output_norm = reader.floats("output_norm.weight", {hidden});
  weights.output = reader.matrix(head_of(reader), hidden, vocab);
  weights.weights = reader.weights();
  // The rotation's divisors were read with the shape; draft layers stand behind the model's own.
  std::vector<std::string> elsewhere = {"rope_freqs.weight"};
  if (draft && shape.draft_layers > 1) {
    fail(ErrorKind::unsupported, "{}: {} draft layers are not supported; tern runs one", reader.file().name(),
         shape.draft_layers);
  }
  if (draft && shape.draft_layers == 1) {
    weights.draft = load_draft(reader, shape, shape.layers, weights);
  } else {
    for (int i = 0; i < shape.draft_layers; ++i)
      elsewhere.push_back(fmt::format("blk.{}.", shape.layers + i));
  }
  reader.refuse_unread(shape.architecture, elsewhere);
}

/// What load_all() reads, from a run that only counts. Whether a draft layer brings tables of its own is told
/// by their bytes, so that layer is not planned.
LoadPlan plan_load(const GgufFile& file, const DecoderShape& shape, ThreadTeam& team,
                   const WeightMemory& memory) {
  DecoderWeights counted;
  counted.memory = WeightMemory::counting();
  TensorReader planner = TensorReader::planner(file, counted.memory, memory, team);
  load_all(planner, shape, false, counted);
  return std::move(planner).plan();
}

}  // namespace

std::unique_ptr<DecoderWeights> load_decoder_weights(const GgufFile& file, const DecoderShape& shape,
                                                     bool draft, ThreadTeam& team, WeightMemory memory,
                                                     const ByteProgress& progress) {
  auto weights = std::make_unique<DecoderWeights>();
  weights->memory = std::move(memory);
  LoadPlan plan;
  if (!weights->memory.only_counts()) plan = plan_load(file, shape, team, weights->memory);
  TensorReader reader(file, weights->memory, team, std::move(plan), progress);
  load_all(reader, shape, draft, *weights);
  return weights;
}

}  // namespace tern
