// Noisy shop search: the task that tern's own model is trained on and judged by.
//
// A query is made in three steps: sample the truth (a structured Answer), say it through a grammar,
// corrupt the words with logged noise operators. The label is the sampled truth.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/search/answer.h"

namespace tern::search {

class World;

enum class Split { train, dev, test };

/// One noise operator applied to one place of the query, in the order applied.
struct NoiseStep {
  std::string op;      ///< e.g. "neighbour_key"
  size_t at = 0;       ///< byte offset of `before` in the query as it was then
  std::string before;  ///< the word or words touched
  std::string after;
};

struct Example {
  uint64_t index = 0;
  int noise = 0;                      ///< number of noise operators, 0 to 4
  std::string query;                  ///< what the user typed, noise included
  std::string clean;                  ///< the same words before the noise
  Answer answer;                      ///< the sampled truth
  std::vector<std::string> thinking;  ///< the trace, one step a line, checkable by check_thinking()
  std::vector<NoiseStep> steps;
  uint64_t truth_hash = 0;     ///< of the truth (entity combination); no two splits share one
  uint64_t phrasing_hash = 0;  ///< of the grammar's phrasing; test and dev have held-out ones

  std::string thinking_text() const;  ///< the lines joined with '\n'
  std::string answer_text() const;    ///< to_json(answer)
};

struct GeneratorOptions {
  Split split = Split::train;
  uint64_t seed = 1;
  /// Also use the two operators that training never sees; then every noisy query has at least one of them.
  bool unseen_noise = false;
};

/// Examples by index: the same options, index and noise always give the same example, on every machine.
class Generator {
 public:
  Generator(const World& world, GeneratorOptions options);
  ~Generator();
  Generator(Generator&&) noexcept;

  /// Example `index` with exactly `noise` operators (0 to 4).
  Example at(uint64_t index, int noise) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern::search
