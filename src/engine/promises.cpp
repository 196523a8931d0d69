#include "engine/promises.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace tern {

StepWork StepTime::streams(int count, double keys) const {
  StepWork work;
  work.passes = 1;
  work.streams = count;
  work.experts = distinct_experts(experts_, used_, count);
  work.stream_keys = keys;
  return work;
}

StepWork StepTime::prompt(int tokens, int cached, int piece) const {
  StepWork work;
  work.passes = std::ceil(static_cast<double>(tokens) / piece);
  work.prompt = tokens;
  work.experts = work.passes * distinct_experts(experts_, used_, std::min(tokens, piece));
  work.prompt_keys = static_cast<double>(tokens) * cached + 0.5 * tokens * (tokens + 1.0);
  return work;
}

double Load::wait_for_place(int before, int pages) const {
  int places = parallel - running - before, memory = free_pages - pages;
  if (places > 0 && memory >= 0) return 0;
  for (const Slot& slot : slots) {
    ++places;
    memory += slot.pages;
    if (places > 0 && memory >= 0) return slot.seconds;
  }
  return std::numeric_limits<double>::infinity();
}

/// All prompts come first, for theirs may be the last. Who waits for its own waits for the streams' steps
/// between, too: one a pass, and one whenever the gap is used up, of which decoding takes half at most.
double Load::needed(const Promise& promise, double step, const StepTime& time) const {
  const double gap = std::max(longest_gap, 2 * step);
  const double between = promise.in_prompt ? prompt_passes + prompt_s / (gap / 2) : 0;
  const double wait = promise.wait ? wait_for_place(*promise.wait, 0) : 0;
  return wait + time.p99(prompt_s + (between + promise.steps) * step);
}

Verdict judge(const Load& load, const Demand& demand, const StepTime& time, TimePoint now) {
  // How much too late the last of them would be, with this one beside the others.
  const auto lateness = [&](Load with, double& needed) {
    with.prompt_s += time.seconds(demand.prompt);
    with.prompt_passes += demand.prompt.passes;
    const int streams = std::min(with.parallel, with.requests() + 1);
    const double step = time.seconds(time.streams(streams, with.keys + demand.prompt.prompt));
    with.promises.push_back({demand.deadline, demand.steps, true, with.waiting});
    with.free_pages -= demand.pages;
    needed = with.needed(with.promises.back(), step, time);
    double most = -std::numeric_limits<double>::infinity();
    for (const Load::Promise& promise : with.promises)
      most = std::max(most, with.needed(promise, step, time) - seconds_between(now, promise.deadline));
    return most;
  };
  Verdict verdict;
  const double late = lateness(load, verdict.needed_s);
  verdict.kept = late <= 0;
  if (verdict.kept) return verdict;
  double alone = 0;
  Load idle;
  idle.longest_gap = load.longest_gap;
  idle.free_pages = demand.pages;
  constexpr double kLongest = 60;  // where nobody can say when a place is free
  if (lateness(idle, alone) <= 0) verdict.retry_s = std::min(late, kLongest);
  return verdict;
}

}  // namespace tern
