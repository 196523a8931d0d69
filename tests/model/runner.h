// Runs a model over whole sequences, for tests.
#pragma once

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

/// |a - b| / |b| over all.
double relative_error(std::span<const float> a, std::span<const float> b);
/// Whether the two have the same bits.
bool same_bits(std::span<const float> a, std::span<const float> b);

}  // namespace tern
