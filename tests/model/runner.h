// Runs a model over whole sequences, for tests.
#pragma once

#include <map>
#include <span>
#include <vector>

#include "model/model.h"

namespace tern {

/// A cache for `sequences` of up to `tokens`.
PagedCache cache_for(const Model& model, int sequences = 1, int tokens = 256);

/// Appends `tokens` to `sequence`, `piece` of them in each forward; the logits of all {tokens, vocab}.
std::vector<float> run_sequence(Model& model, PagedCache& cache, SequenceId sequence,
                                std::span<const int32_t> tokens, int piece);
/// The same in a fresh cache.
std::vector<float> run_fresh(Model& model, std::span<const int32_t> tokens, int piece);

/// The experts that a model's router chose for one sequence, each token's in ascending order.
class Routes final : public RouterObserver {
 public:
  /// Also expects that each has a weight.
  void on_route(int layer, const BatchToken& token, std::span<const int32_t> experts,
                std::span<const float> weights) override;
  void clear() { chosen_.clear(); }
  /// {moe layers, tokens, used}, as the dumps have them.
  std::vector<int32_t> all() const;
  /// {moe layers, used} of one token.
  std::vector<int32_t> at(int position) const;

 private:
  std::map<int, std::map<int, std::vector<int32_t>>> chosen_;  ///< by layer, then by position
};

/// In how many places the two have the same; they are of one size.
size_t count_same(std::span<const int32_t> a, std::span<const int32_t> b);

/// |a - b| / |b| over all.
double relative_error(std::span<const float> a, std::span<const float> b);
/// Whether the two have the same bits.
bool same_bits(std::span<const float> a, std::span<const float> b);

}  // namespace tern
