// The ceiling: reads a noisy query knowing the noise channel, the grammar and the whole lexicon, but never
// the log.
//
// A beam over the query's words: each is explained by words of the world through the channel, weighed by a
// bigram model of the grammar's clean sentences. The best word sequences are parsed into answers. Costs are
// negative log probabilities, in nats.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "tasks/search/answer.h"
#include "tasks/search/score.h"
#include "tasks/search/world.h"

namespace tern::search {

struct Reading {
  Answer answer;
  double cost = 0;
};

class Oracle {
 public:
  /// Samples the grammar for its word model: takes about half a second.
  explicit Oracle(const World& world);
  ~Oracle();
  Oracle(Oracle&&) noexcept;

  /// Readings of `query`, best first, no two alike; empty where nothing fits. A few milliseconds at most.
  std::vector<Reading> read(std::string_view query) const;

  /// Whether a second reading is nearly as good as the first: the noise made the query ambiguous.
  static bool is_ambiguous(const std::vector<Reading>& readings);
  /// Every identifier of every reading.
  static Support support(const std::vector<Reading>& readings);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern::search
