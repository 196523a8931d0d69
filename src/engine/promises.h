// Deadlines: what was promised, and whether one more promise can be kept beside the others.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "engine/pace.h"

namespace tern {

/// What becomes of a request whose deadline can't be promised.
enum class LatePolicy {
  refuse,      ///< it is refused at once
  no_think,    ///< it runs without thinking, and without a promise
  best_effort  ///< it runs without a promise
};

struct Deadline {
  TimePoint at;
  LatePolicy late = LatePolicy::refuse;
  int answer_tokens =
      0;  ///< reserved for the answer; 0: as many as answers took of late, but for one in a hundred
};

class StepTime;

/// What the engine has to do, as of its last step, and what it owes. Seconds are the most likely ones where
/// nothing else is said.
struct Load {
  /// What requests ask of the steps they take part in.
  struct Share {
    int requests = 0;
    double keys = 0;           ///< cached tokens, at the end of their prompts
    double prompt_s = 0;       ///< that promised prompts, and a pass under way, still take
    double prompt_passes = 0;  ///< in so many passes

    Share& operator+=(const Share& other);
    Share& operator-=(const Share& other);
  };

  struct Promise {
    TimePoint deadline;
    /// It starts then, or when all those are over whose deadlines come no later: they can't bear its company.
    TimePoint start = TimePoint::min();
    double steps = 0;         ///< decode steps until it is over, if its thinking ends now
    bool in_prompt = false;   ///< it has not said anything yet
    std::optional<int> wait;  ///< promised ones before it that wait for a place; none where it runs
    int pages = 0;            ///< of the cache, at most; where it waits
    int pages_before = 0;     ///< of those before it
    Share share;
  };

  /// What a request holds, or will, that runs or was promised its deadline.
  struct Slot {
    TimePoint free;  ///< then it is given back at the latest, at the 99th percentile
    int pages = 0;
  };

  static constexpr double kUsualAnswer = 64;  ///< tokens, until answers have shown better

  int parallel = 1;         ///< requests that run at once
  int running = 0;          ///< requests
  Share all;                ///< of them, and of those that wait and were promised their deadline
  double longest_gap = 0;   ///< of a step in which prompts run, see Scheduler::Limits
  int free_pages = 0;       ///< of the cache, not set aside for those that run
  std::vector<Slot> slots;  ///< in the order of their ends
  std::vector<Promise> promises;
  std::vector<size_t> later;  ///< those of them that have a start
  double answer_tokens = 0;   ///< that answers took of late, but for one in a hundred

  /// Adds a promise; where it waits, who is before it is found here.
  void add(Promise promise);
  void add_slot(const Slot& slot);
  /// Seconds that a decode step of all most likely takes.
  double step_s(const StepTime& time) const;
  /// Seconds that a promise needs from now on, at the 99th percentile, beside `more` streams than are known.
  double needed(const Promise& promise, const StepTime& time, TimePoint now, int more = 0) const;

 private:
  Share company(const Promise& promise, int more) const;
  double wait_for_place(const Promise& promise, TimePoint now) const;
};

struct Verdict {
  bool kept = false;                   ///< it can be promised, and every promise given before is kept
  TimePoint start = TimePoint::min();  ///< see Load::Promise
  double needed_s = 0;  ///< from now until its end at the 99th percentile, thinking not counted
  double retry_s =
      0;  ///< how much later it would have to come; 0 where not even an idle engine is fast enough
};

/// What the engine's steps are, and what they take.
class StepTime {
 public:
  StepTime(const Forecast& forecast, int experts, int experts_used)
      : forecast_(forecast), experts_(experts), used_(experts_used) {}

  /// A decode step of so many streams with so many cached tokens in all.
  StepWork streams(int count, double keys) const;
  /// `tokens` behind `cached` ones, in passes of up to `piece`.
  StepWork prompt(int tokens, int cached, int piece) const;
  /// The most likely time.
  double seconds(const StepWork& work) const { return forecast_.predict(work); }
  /// What work that most likely takes so long takes at most, 99 times of 100.
  double p99(double seconds) const { return forecast_.p99(seconds); }

 private:
  Forecast forecast_;
  int experts_, used_;
};

/// Thinking gives way: a promise needs its prompt, the tokens that close its thinking, and its answer, beside
/// as many streams as can run with it. Where more urgent ones can't bear its company, it starts after them.
Verdict judge(const Load& load, Load::Promise promise, const StepTime& time, TimePoint now);

}  // namespace tern
