// Who runs in the next step: schedule → run → finish.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "engine/generation.h"
#include "engine/pace.h"
#include "engine/prefix_cache.h"
#include "engine/promises.h"
#include "engine/statistics.h"
#include "model/cache.h"
#include "model/model.h"

namespace tern {

/// What a request with a deadline needs, that runs or is to wait for its place.
Load::Promise promise_of(const Generation& generation, bool runs, const Load& load, const StepTime& time,
                         int prompt_piece);
/// Adds a request to what is owed: one that runs, or one that was promised its deadline and waits.
void owe(Load& load, const Generation& generation, bool runs, const StepTime& time, int prompt_piece);

/// Owns the requests that run and wait, and the cache. Belongs to one thread.
///
/// Requests are admitted first come first served, promised ones by their deadlines, each with the pages it
/// may need at most set aside, so an admitted request never runs out of them. Pages of an earlier request
/// that began alike are taken over. A step decodes every stream that has its prompt behind it, then takes the
/// prompts' pass as many layers further as the streams' longest gap allows. A pass holds pieces of several
/// prompts, prompt_piece tokens in all, or of one prompt prompt_pass, as far as its layers fit into that gap.
/// Prompts whose turn comes first, promised ones above all, go by an express pass, for which the other one
/// waits.
///
/// A promised deadline comes before all that was not promised one: its request waits behind promised ones
/// alone, prompts without a promise run in the time that no promise needs, and thinking is closed as soon as
/// what is left just covers the answer.
class Scheduler {
 public:
  struct Limits {
    int parallel = 0;      ///< requests that run at once
    int prompt_piece = 0;  ///< prompts are cut at its multiples alone; several share a pass of so many tokens
    int prompt_pass = 0;   ///< tokens of one prompt in one pass at most
    PagedCache::Shape cache;
    /// Between two tokens of a stream, in seconds; prompts wait for what is left of it, but for one layer.
    /// Where it is less than two decode steps, those.
    double longest_gap = 0.05;
    bool share_prefixes = true;  ///< requests that begin alike share their pages, bit for bit the same
    std::function<TimePoint()> clock = Clock::now;
    /// Called when requests have ended and given back what they held, before they are told: who asks again at
    /// once must find their places free. May be empty.
    std::function<void()> before_ends;
  };
  /// The model must outlive it and take batches of parallel and of prompt_pass tokens.
  /// Throws Error{limit} where the memory can't be had.
  Scheduler(Model& model, const Limits& limits);

  /// Takes a request whose most_cached() fits into the cache.
  void add(std::unique_ptr<Generation> generation);
  /// Ends it with FinishReason::cancelled, wherever it is. Unknown ids are ignored.
  void cancel(RequestId id);
  void end_all(FinishReason reason, const std::string& error = {});
  /// Admits who fits, decodes every stream and takes the prompts further.
  void step();

  /// Runs steps of many kinds on sequences of its own for about so many seconds, so that the pace is known.
  /// Before the first request. Throws what the model throws.
  void calibrate(double seconds);
  /// Takes over what steps cost in an earlier run. Before the first request.
  void start_from(const Pace& pace) { pace_ = pace; }
  const Pace& pace() const { return pace_; }
  /// What it has to do and owes. A pass of prompts without promises counts where promised ones wait for it,
  /// or would, if there were one more. And what steps take.
  Load load(bool for_one_more = true) const;
  StepTime step_time() const;
  /// Seconds that the next decode step of one stream most likely takes.
  double predicted_step() const { return pace_.predict(step_time().streams(1, 0)); }

  int running() const { return static_cast<int>(running_.size()); }
  uint64_t steps() const { return steps_; }  ///< that ran anything
  int waiting() const { return static_cast<int>(waiting_.size()); }
  const PagedCache& cache() const { return cache_; }
  int available_pages() const { return prefixes_.available_pages(); }  ///< that no request holds
  /// What happened so far and how it stands, but for what only the engine knows (promises made and refused).
  EngineStatistics statistics() const;
  /// Throws Error{internal} where the cache's bookkeeping contradicts itself.
  void check() const;

 private:
  struct Running {
    std::unique_ptr<Generation> generation;  ///< none once it has ended
    SequenceId sequence = 0;
    uint64_t prompts_then = 0;  ///< prompt tokens that had been run when it was admitted
    bool in_pass = false;       ///< the prompts' pass writes its pages
  };
  /// One request's part of a batch: tokens[begin, end), and its row of logits where it wants one.
  struct Turn {
    Running* request = nullptr;
    size_t begin = 0, end = 0;
    std::optional<size_t> row;
    std::optional<std::string> error;  ///< what went wrong with it, if anything did
  };
  /// A request that has ended and is to be told so.
  struct Ended {
    std::unique_ptr<Generation> generation;
    FinishReason reason;
    std::string error;
  };
  struct Batch {
    std::vector<BatchToken> tokens;
    std::vector<Turn> turns;
    size_t rows = 0;  ///< of logits

    void clear();
  };
  /// Prompts that go through the model together.
  struct Pass {
    Batch batch;
    PausedPass paused;

    bool under_way() const { return !batch.turns.empty(); }
  };

  void drop_broken();
  void admit();
  bool must_wait(const Generation& generation) const;
  void start(std::unique_ptr<Generation> generation);
  int free_pages() const;
  int pages_to_come(const Running& request) const;
  void schedule_streams();
  void schedule_prompts();
  std::vector<Running*> prompts_in_order() const;
  void reuse_prefix(Running& request);
  void learn_prefix(const Running& request);
  void mind_deadlines();
  void end_in_time(Generation& generation, const Load& owed, const StepTime& time) const;
  void run_streams();
  void fill(Pass& pass, std::span<Running* const> order);
  size_t pass_tokens(const Generation& generation) const;
  void run_prompts(Pass& pass, TimePoint step_began, double gap);
  bool take_further(Pass& pass, double seconds, TimePoint began);
  double slack(int more) const;
  bool prompts_are_urgent() const;
  double hold_up(const Pass& pass, const StepTime& time) const;
  void add_slots(Load& load, const StepTime& time) const;
  StepWork work_of(const Batch& batch, double share, bool prompts) const;
  void finish(Batch& batch);

  void take_turn(Running& request, Batch& batch, std::span<const int32_t> tokens);
  void run_alone(const Batch& batch, Turn& turn);
  void finish_turn(Turn& turn);
  void end(Running& request, FinishReason reason, const std::string& error = {});
  void tell_ended();
  void leave_pass(Pass& pass);
  void release_ended();
  std::span<float> logits_of(size_t row);

  Model& model_;
  Limits limits_;
  PagedCache cache_;
  std::deque<std::unique_ptr<Generation>> waiting_;
  std::vector<std::unique_ptr<Running>> running_;  ///< in the order they were admitted
  std::vector<Ended> ended_;
  std::vector<SequenceId> free_sequences_;
  PrefixCache prefixes_;
  uint64_t prompts_done_ = 0;  ///< prompt tokens run so far
  uint64_t steps_ = 0;
  EngineStatistics statistics_;  ///< its sums; statistics() adds the state
  Batch streams_;                ///< of this step
  Pass express_, prompts_;       ///< the first goes before the second, which waits between two layers
  Pace pace_;
  RecentQuantiles answers_;    ///< tokens of answers over kUsualAnswer
  std::vector<float> logits_;  ///< {parallel, vocab}
};

}  // namespace tern
