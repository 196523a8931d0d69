// Mixture of Experts: a gate, routed experts, shared experts (DeepSeek-V2 and V3, Qwen 3, gpt-oss).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/experts.h"
#include "model/model.h"
#include "model/project.h"

namespace tern {

/// The gate's switches, from `ARCH.expert_*`.
struct RouterParams {
  enum class Score {
    softmax,         ///< over all experts
    sigmoid,         ///< of each
    chosen_softmax,  ///< over the logits of the chosen ones, which their logits choose (gpt-oss)
  };
  int experts = 0;      ///< routed ones
  int used = 0;         ///< of them, for one token
  int groups = 1;       ///< experts stand in equal groups
  int groups_used = 1;  ///< groups that a token may choose from
  Score score = Score::softmax;
  bool normalise = false;  ///< divide the chosen weights by their sum
  float scale = 1.0f;      ///< then multiply by this
};

/// Reads `ARCH.expert_{count, used_count, group_count, group_used_count, gating_func, weights_norm,
/// weights_scale}`; where a file has no gating_func or weights_norm, `defaults` has the family's. Throws
/// Error{bad_input | unsupported} naming file and key.
RouterParams read_router(const GgufFile& file, const std::string& architecture,
                         const RouterParams& defaults = {});

/// Chooses one token's experts. logits {experts} become scores; `bias` {experts} or null is added for
/// choosing only. With groups: a group's score is the sum of its two best biased scores where there is a bias
/// (V3), else its best one (V2); experts of other groups are out. chosen {used} best first, ties to the lower
/// id; weights {used} are the unbiased scores, normalised and scaled as `params` say. scratch: {experts +
/// groups}. A NaN never leads out of range.
void choose_experts(const RouterParams& params, float* logits, const float* bias, float* scratch,
                    int32_t* chosen, float* weights);

/// One layer's weights beside the routed experts, which are in the ExpertStore.
struct MoeWeights {
  PackedMatrix gate;             ///< {experts, hidden}, F32
  std::vector<float> gate_bias;  ///< {experts}, part of the logits; empty where the model has none
  std::vector<float> bias;       ///< {experts}, for choosing only; empty where the model has none
  GatedWeights shared;           ///< the shared experts as one network; without rows where there are none
};

/// Buffers for one MoE layer at a time, sized once.
class MoeLayer {
 public:
  MoeLayer(const RouterParams& params, size_t hidden, size_t expert_ff, size_t shared_ff, size_t max_tokens,
           int members);

  /// y {tokens, hidden} = routed and shared experts of x {tokens, hidden}. A token's result does not depend
  /// on the others: its experts are added in the order of its own choice, the shared one last.
  void forward(const Compute& compute, ExpertStore& store, int layer, const MoeWeights& weights,
               const float* x, size_t tokens, float* y);
  /// The two halves of forward(), so that each can be timed: chooses each token's experts and sorts the
  /// tokens by expert; then runs the experts over the same x.
  void route(const Compute& compute, const MoeWeights& weights, const float* x, size_t tokens);
  void run(const Compute& compute, ExpertStore& store, int layer, const MoeWeights& weights, const float* x,
           size_t tokens, float* y);

  /// Of the last route(), ascending: the experts that at least one token chose, and how many did.
  std::span<const int32_t> distinct() const { return distinct_; }
  uint32_t tokens_of(int32_t expert) const { return first_row_[expert + 1] - first_row_[expert]; }

  /// Of the last route(): {used} experts and weights of one token.
  std::span<const int32_t> chosen(size_t token) const {
    return {chosen_.data() + token * params_.used, used()};
  }
  std::span<const float> weights(size_t token) const {
    return {weights_.data() + token * params_.used, used()};
  }

 private:
  struct Member {
    std::vector<float> scores;   ///< scratch of choose_experts
    std::vector<float> results;  ///< {networks' rows, rows of kPanelsAtOnce panels}
  };
  /// An expert or the shared ones, with the tokens that chose it.
  struct Network {
    const GatedWeights* weights;
    ActivationRows x;
    GatedRows* gated;
    size_t first_gated;   ///< its first row there
    size_t first_result;  ///< and among all networks' results
  };
  size_t used() const { return static_cast<size_t>(params_.used); }
  void choose(const Compute& compute, const MoeWeights& weights, const float* x, size_t tokens);
  void sort_by_expert(size_t tokens);
  void list_networks(const MoeWeights& weights, const float* x, size_t tokens);
  void gather(const Compute& compute, size_t tokens);
  void run_upper_halves(const Compute& compute);
  void run_lower_halves(const Compute& compute, size_t tokens, float* y);
  void lower_panels(const Kernels& kernels, size_t begin, size_t end, float* results, size_t tokens,
                    float* y) const;

  RouterParams params_;
  size_t hidden_;
  Activations activations_;                   ///< of all tokens
  Activations gathered_;                      ///< {tokens * used}: in the sorted order
  std::unique_ptr<float[]> gathered_floats_;  ///< the same, for experts of floats; untouched by others
  GatedRows routed_gated_, shared_gated_;
  std::vector<Network> networks_;  ///< of distinct_, then the shared one
  std::vector<Member> members_;
  std::vector<float> logits_;         ///< {tokens, experts}
  std::vector<int32_t> chosen_;       ///< {tokens, used}
  std::vector<float> weights_;        ///< {tokens, used}
  std::vector<uint32_t> first_row_;   ///< {experts + 1}: an expert's rows in the sorted order
  std::vector<uint32_t> next_row_;    ///< {experts}, while sorting
  std::vector<uint32_t> choice_row_;  ///< {tokens, used}: where a token's choice went
  std::vector<int32_t> distinct_;     ///< experts with at least one row, ascending
  std::vector<ExpertLease> leases_;   ///< of distinct_
};

}  // namespace tern
