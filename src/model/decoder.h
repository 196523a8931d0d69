// A decoder of the kind that every family here is: embedding, layers of attention and feed-forward with a
// norm before each, a norm and the head. Families differ in the shape, which their files read, and in
// attention.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "model/attention_gqa.h"
#include "model/attention_mla.h"
#include "model/experts.h"
#include "model/model.h"
#include "model/moe.h"
#include "model/rope.h"
#include "model/weights.h"

namespace tern {

struct DecoderShape {
  std::string architecture;
  int vocab = 0, hidden = 0, context = 0;
  int layers = 0;        ///< without draft layers
  int draft_layers = 0;  ///< multi-token-prediction blocks behind them in the file
  int dense_layers = 0;  ///< the leading ones; the others are mixtures of experts
  int dense_ff = 0, expert_ff = 0, shared_experts = 0;
  float eps = 0;
  std::variant<GqaShape, MlaShape> attention;
  RopeParams rope;
  RouterParams router;                ///< meaningful where layers > dense_layers
  const char* ffn_norm = "ffn_norm";  ///< the tensor's name
  bool router_bias = false;           ///< part of the router's logits
  bool expert_bias = false;
  Gating gating = Gating::silu;

  bool is_dense(int layer) const { return layer < dense_layers; }
  KeyValueShape key_value() const;  ///< what is cached of a token and layer
};

/// A family reads and checks its own keys: `ARCH.*`. Throws Error{bad_input | unsupported} naming file and
/// key.
struct Family {
  const char* architecture;  ///< general.architecture
  DecoderShape (*read_shape)(const GgufFile& file);
};
/// Throws Error{unsupported} naming the architecture and those that tern runs.
const Family& find_family(const GgufFile& file);

// What each family's file holds.
DecoderShape read_deepseek2(const GgufFile& file);
DecoderShape read_llama(const GgufFile& file);
DecoderShape read_qwen2(const GgufFile& file);
DecoderShape read_qwen3(const GgufFile& file);
DecoderShape read_qwen3moe(const GgufFile& file);
DecoderShape read_gpt_oss(const GgufFile& file);

struct DecoderLayer {
  std::vector<float> attention_norm, ffn_norm;  ///< {hidden}
  std::variant<GqaWeights, MlaWeights> attention;
  GatedWeights dense;  ///< in the leading dense layers
  MoeWeights moe;      ///< in the others
};

/// A multi-token-prediction block (DeepSeek-V3, section 2.2), `blk.N.nextn.*` beside a layer's own tensors.
struct DraftLayer {
  std::vector<float> embedding_norm, hidden_norm;  ///< {hidden}: enorm, hnorm
  PackedMatrix join;  ///< {hidden, 2 hidden}: eh_proj, the embedding's half first
  DecoderLayer layer;
  std::vector<float> output_norm;      ///< {hidden}; the model's own where the file has none
  std::optional<Embedding> embedding;  ///< where it is not the model's
  std::optional<PackedMatrix> output;  ///< {vocab, hidden}, likewise
};

struct DecoderWeights {
  WeightMemory memory;
  Embedding embedding;
  std::vector<DecoderLayer> layers;
  std::optional<DraftLayer> draft;  ///< where asked for
  ExpertStore experts;
  std::vector<float> output_norm;
  PackedMatrix output;   ///< {vocab, hidden}; made from the embedding where the file has none
  uint64_t weights = 0;  ///< in the tensors read, the draft layer's apart
};

/// Into `memory`, which may only count. With `draft` the draft layer too, if the file has one. Throws as
/// TensorReader, and Error{unsupported} for tensors that the architecture has no place for.
std::unique_ptr<DecoderWeights> load_decoder_weights(const GgufFile& file, const DecoderShape& shape,
                                                     bool draft, ThreadTeam& team, WeightMemory memory = {},
                                                     const ByteProgress& progress = {});

/// Weights that one token is multiplied with: all but the embedding table and the experts not chosen.
uint64_t active_weights(const DecoderShape& shape, uint64_t weights, bool tied);

/// Loads any family. Throws as load_decoder_weights.
std::unique_ptr<Model> load_decoder(const GgufFile& file, const DecoderShape& shape,
                                    const ModelOptions& options);
ModelShape measure_decoder(const GgufFile& file, const DecoderShape& shape, CacheType cache);

/// `token_embd.weight`'s rows. Throws Error{bad_input | limit}.
int read_vocab(const GgufFile& file);
/// Fills what every family has: vocabulary, widths, context, layers, epsilon.
DecoderShape read_common(const class ArchKeys& keys);
/// Fills heads and their dimensions, and the rotation, from the keys that Llama-style families share.
GqaShape read_gqa(const ArchKeys& keys, RopeParams& rope);

}  // namespace tern
