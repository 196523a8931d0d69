// Where the routed experts' packed weights are. All in memory here; the lease is what lets them live
// elsewhere later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "model/weights.h"

namespace tern {

/// How a gated feed-forward network joins its gate g and its up projection u.
enum class Gating {
  silu,          ///< silu(g) u
  clamped_silu,  ///< silu(1.702 g) / 1.702 (u + 1), g at most 7 and u within -7 to 7 (gpt-oss)
};

/// One network, an expert's say: y = down (gating of gate x and up x), each matrix with its bias where it has
/// one. An expert's gate and up are packed one after the other.
struct GatedWeights {
  PackedMatrix gate;                                                           ///< {ff, hidden}
  PackedMatrix up;                                                             ///< {ff, hidden}
  PackedMatrix down;                                                           ///< {hidden, ff}
  const float *gate_bias = nullptr, *up_bias = nullptr, *down_bias = nullptr;  ///< {rows} each
  Gating gating = Gating::silu;
};

/// What the experts of a family are like.
struct ExpertShape {
  uint64_t hidden = 0, ff = 0, experts = 0;
  bool bias = false;
  Gating gating = Gating::silu;
};

class ExpertStore;

/// Keeps one expert's weights where they are while it lives.
class ExpertLease {
 public:
  ExpertLease() = default;
  ExpertLease(ExpertLease&& other) noexcept;
  ExpertLease& operator=(ExpertLease&& other) noexcept;
  ~ExpertLease() { release(); }
  ExpertLease(const ExpertLease&) = delete;
  ExpertLease& operator=(const ExpertLease&) = delete;

  const GatedWeights& operator*() const { return *weights_; }
  const GatedWeights* operator->() const { return weights_; }
  void release();

 private:
  friend class ExpertStore;
  ExpertLease(ExpertStore* store, const GatedWeights* weights) : store_(store), weights_(weights) {}
  ExpertStore* store_ = nullptr;
  const GatedWeights* weights_ = nullptr;
};

/// Leases are taken and given back by the thread that runs the forward pass, not by its team.
class ExpertStore {
 public:
  static constexpr size_t kPage = 4096;

  /// Packs `blk.LAYER.ffn_{gate,up,down}_exps.weight`, each expert into one extent of whole pages, and reads
  /// their biases. Layers are added in ascending order; those before the first have no experts.
  void add_layer(TensorReader& reader, int layer, const ExpertShape& shape);

  ExpertLease acquire(int layer, int expert);
  /// Leases that are out.
  int leased() const { return leased_; }
  /// Bytes of one expert's extent of this layer.
  size_t extent_bytes(int layer) const { return layers_[layer].extent; }

 private:
  friend class ExpertLease;
  struct Layer {
    size_t extent = 0;
    std::vector<GatedWeights> experts;
    std::vector<float> gate_bias, up_bias, down_bias;  ///< {experts, rows}, empty where there are none
  };
  static void pack_experts(TensorReader& reader, const Layer& layer, const GgufTensor& gate,
                           const GgufTensor& up, const GgufTensor& down);

  std::vector<Layer> layers_;
  int leased_ = 0;
};

}  // namespace tern
