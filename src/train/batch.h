// A training step's tokens: whole sequences one after another, without padding.
#pragma once

#include <cstdint>
#include <vector>

namespace tern::train {

struct Batch {
  std::vector<int64_t> tokens;   ///< {n_tokens}
  std::vector<int64_t> starts;   ///< {n_sequences + 1}, offsets into tokens; the last is n_tokens
  std::vector<int64_t> rows;     ///< {n_targets}, the tokens whose successor is learned
  std::vector<int64_t> targets;  ///< {n_targets}, those successors
  uint64_t next_index = 0;       ///< of the stream of examples, after this batch

  int64_t sequences() const { return static_cast<int64_t>(starts.size()) - 1; }
};

}  // namespace tern::train
