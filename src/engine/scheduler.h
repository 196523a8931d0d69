// Who runs in the next step: schedule → run → finish.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/generation.h"
#include "model/cache.h"
#include "model/model.h"

namespace tern {

/// Owns the requests that run and wait, and the cache. Belongs to one thread.
///
/// Requests are admitted first come first served, each with the pages it may need at most set aside, so an
/// admitted request never runs out of them. A step decodes every stream that has its prompt behind it, in one
/// forward pass with pieces of the others' prompts, oldest first, up to prompt_piece tokens.
class Scheduler {
 public:
  struct Limits {
    int parallel = 0;      ///< requests that run at once
    int prompt_piece = 0;  ///< prompt tokens in one step
    PagedCache::Shape cache;
  };
  /// The model must outlive it and take batches of parallel + prompt_piece tokens.
  /// Throws Error{limit} where the memory can't be had.
  Scheduler(Model& model, const Limits& limits);

  /// Takes a request whose most_cached() fits into the cache.
  void add(std::unique_ptr<Generation> generation);
  /// Ends it with FinishReason::cancelled, wherever it is. Unknown ids are ignored.
  void cancel(RequestId id);
  void end_all(FinishReason reason, const std::string& error = {});
  /// Admits who fits and takes every running request one step further.
  void step();

  int running() const { return static_cast<int>(running_.size()); }
  uint64_t steps() const { return steps_; }  ///< that ran anything
  int waiting() const { return static_cast<int>(waiting_.size()); }
  const PagedCache& cache() const { return cache_; }

 private:
  struct Running {
    std::unique_ptr<Generation> generation;
    SequenceId sequence = 0;
    int pages = 0;  ///< set aside
  };
  /// One request's part of a step: batch_[begin, end), and its row of logits where it wants one.
  struct Turn {
    Running* request = nullptr;
    size_t begin = 0, end = 0;
    std::optional<size_t> row;
    std::optional<std::string> error;  ///< what went wrong with it, if anything did
  };

  void admit();
  void schedule();
  void run();
  void finish();

  void take_turn(Running& request);
  void run_alone(Turn& turn);
  void finish_turn(Turn& turn);
  void end(Running& request, FinishReason reason, const std::string& error = {});
  void erase_ended();
  std::span<float> logits_of(size_t row);

  Model& model_;
  Limits limits_;
  PagedCache cache_;
  std::deque<std::unique_ptr<Generation>> waiting_;
  std::vector<Running> running_;  ///< in the order they were admitted; an ended one has no generation
  std::vector<SequenceId> free_sequences_;
  int free_pages_;  ///< not set aside for anybody
  uint64_t steps_ = 0;
  std::vector<BatchToken> batch_;
  std::vector<Turn> turns_;
  size_t rows_ = 0;            ///< of logits in this step
  std::vector<float> logits_;  ///< {parallel, vocab}
};

}  // namespace tern
