// How well the model answers dev examples, without generating: greedy text equals the label exactly where
// every token of the label is the likeliest one after those before it.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "train/data.h"
#include "train/network.h"

namespace tern::train {

struct ProbeResult {
  double loss = 0;                         ///< mean over thinking and answer of full traces
  double exact = 0;                        ///< share of examples whose answer is exact without thinking
  double exact_thinking = 0;               ///< share whose thinking and answer are both exact
  double exact_given_thinking = 0;         ///< share whose answer is exact after the label's thinking
  std::array<double, 4> exact_by_noise{};  ///< exact_thinking at noise 0 to 3
};

/// The first `count` dev examples, noise 0 to 3 in turn.
class Probe {
 public:
  Probe(const search::World& world, const Tokenizer& tokenizer, const DataConfig& config, int64_t count);

  ProbeResult run(Network& network) const;

 private:
  std::vector<Batch> plain_, thinking_;  // some examples each, in order
  int32_t close_;                        // the token </think>
};

}  // namespace tern::train
