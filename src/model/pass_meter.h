// Measures a decoder's forward passes: time by stage, bytes read, experts chosen.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "model/batch_plan.h"
#include "model/decoder.h"
#include "model/statistics.h"

namespace tern {

/// Belongs to the thread that runs the passes, but for expert_choices().
class PassMeter {
 public:
  /// `cache_page`: bytes of a layer's page.
  PassMeter(const DecoderShape& shape, DecoderWeights& weights, uint64_t cache_page);

  /// A pass, or a part of one, begins.
  void start() { clock_.start(); }
  void lap(Stage stage) { clock_.lap(stage); }
  /// A layer's attention ran over the plan: its weights and the cached rows were read.
  void attended(int layer, const BatchPlan& plan);
  /// A layer's feed-forward ran.
  void fed_forward(int layer) { statistics_.bytes += layers_[layer].ffn; }
  /// Its routed experts too, as the router last chose them.
  void ran_experts(int layer, const MoeLayer& moe);
  /// A matrix of the whole model was read.
  void read(const PackedMatrix& matrix);
  void finished(size_t tokens);

  const ModelStatistics& statistics() const { return statistics_; }
  /// {layers with experts, experts}. From any thread.
  std::vector<uint64_t> expert_choices() const;

 private:
  /// Bytes of packed weights; the norms' and biases' few floats are left out.
  struct Layer {
    uint64_t attention = 0;
    uint64_t absorbed = 0, decompressed = 0;  ///< beside it, by the way through latent attention
    uint64_t ffn = 0;                         ///< the dense network, or the gate and the shared experts
    uint64_t expert = 0;                      ///< one routed expert
    uint64_t window = 0;                      ///< cached rows that a token sees at most; 0: all
  };
  static void measure(const MlaWeights& weights, Layer& layer);
  static void measure(const GqaWeights& weights, Layer& layer);
  void add_layer(int index, const DecoderShape& shape, const DecoderLayer& weights, ExpertStore& experts);

  ModelStatistics statistics_;
  StageClock clock_{statistics_.stages};
  std::vector<Layer> layers_;  ///< the model's, then the draft layer
  uint64_t cache_page_;        ///< bytes of a layer's page
  int dense_layers_, experts_;
  std::vector<std::atomic<uint64_t>> choices_;  ///< written by one thread: no add needs to be atomic
};

}  // namespace tern
