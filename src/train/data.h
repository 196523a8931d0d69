// Search examples as training sequences: prompt, thinking, answer.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tasks/search/search.h"
#include "tasks/search/world.h"
#include "text/tokenizer.h"
#include "train/batch.h"
#include "train/config.h"

namespace tern::train {

/// One example as tokens. learned[i] says whether tokens[i] is a target: thinking, its end where the model
/// chose it, answer and end of turn are; the prompt and a `</think>` that was forced are not.
struct Sequence {
  std::vector<int32_t> tokens;
  std::vector<bool> learned;
};

/// How much of its thinking an example shows.
enum class Trace { full, cut, empty };

/// Tokens of an example. A cut trace ends after a line or a token drawn from `rng`, as a budget would close
/// it.
Sequence make_sequence(const Tokenizer& tokenizer, const search::Example& example, Trace trace, Rng& rng);

/// Examples without end, each index once, the same for the same seed: batches of whole sequences of about
/// tokens_per_step tokens.
class ExampleStream {
 public:
  ExampleStream(const search::World& world, const Tokenizer& tokenizer, const DataConfig& config,
                search::Split split = search::Split::train);

  /// The next batch, starting at example `index`; its next_index is where the following one starts.
  Batch batch(uint64_t index) const;

  /// Example `index` with the noise level drawn for it.
  search::Example example(uint64_t index) const;

 private:
  const Tokenizer& tokenizer_;
  DataConfig config_;
  search::Generator generator_;
};

/// Makes batches ahead on a thread of its own.
class Prefetch {
 public:
  Prefetch(const ExampleStream& stream, uint64_t index, size_t depth = 4);
  Prefetch(const Prefetch&) = delete;
  Prefetch& operator=(const Prefetch&) = delete;
  ~Prefetch();

  /// Rethrows what went wrong on the thread.
  Batch next();

 private:
  void work(uint64_t index);

  const ExampleStream& stream_;
  const size_t depth_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Batch> ready_;
  std::exception_ptr error_;
  bool stop_ = false;
  std::thread thread_;
};

/// The task's vocabulary, learned from `lines` training examples: queries, thinking and answers.
Vocabulary learn_vocabulary(const search::World& world, const DataConfig& config, int64_t size);

}  // namespace tern::train
