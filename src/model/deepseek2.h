// DeepSeek-V2, V3 and R1 (GGUF architecture "deepseek2"): Multi-head Latent Attention and Mixture of Experts.
// Papers: DeepSeek-V2 (arXiv 2405.04434), DeepSeek-V3 (arXiv 2412.19437).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "model/attention_mla.h"
#include "model/experts.h"
#include "model/model.h"
#include "model/moe.h"
#include "model/rope.h"
#include "model/weights.h"

namespace tern {

struct Deepseek2Shape {
  int vocab = 0, hidden = 0, context = 0;
  int layers = 0;        ///< without draft layers
  int draft_layers = 0;  ///< MTP blocks behind them in the file, which tern leaves alone
  int dense_layers = 0;  ///< the leading ones
  int dense_ff = 0, expert_ff = 0, shared_experts = 0;
  float eps = 0;
  MlaShape attention;
  RopeParams rope;
  RouterParams router;  ///< meaningful where layers > dense_layers

  bool is_dense(int layer) const { return layer < dense_layers; }
};

/// Reads and checks `deepseek2.*`. Throws Error{bad_input | unsupported} naming file and key.
Deepseek2Shape read_deepseek2_shape(const GgufFile& file);

struct Deepseek2Layer {
  std::vector<float> attention_norm, ffn_norm;  ///< {hidden}
  MlaWeights attention;
  GatedWeights dense;  ///< in the leading dense layers
  MoeWeights moe;      ///< in the others
};

struct Deepseek2Weights {
  WeightMemory memory;
  Embedding embedding;
  std::vector<Deepseek2Layer> layers;
  ExpertStore experts;
  std::vector<float> output_norm;
  PackedMatrix output;   ///< {vocab, hidden}; made from the embedding where the file has none
  uint64_t weights = 0;  ///< in the file's tensors
};

/// Into `memory`, which may only count. Throws as TensorReader, and Error{unsupported} for tensors that the
/// architecture has no place for.
std::unique_ptr<Deepseek2Weights> load_deepseek2_weights(const GgufFile& file, const Deepseek2Shape& shape,
                                                         ThreadTeam& team, WeightMemory memory = {});

/// Weights that one token is multiplied with: all but the embedding table and the experts not chosen.
uint64_t active_weights(const Deepseek2Shape& shape, uint64_t weights, bool tied);

std::unique_ptr<Model> load_deepseek2(const GgufFile& file, const ModelOptions& options);
ModelShape measure_deepseek2(const GgufFile& file);

}  // namespace tern
