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

Load::Share& Load::Share::operator+=(const Share& other) {
  requests += other.requests;
  keys += other.keys;
  prompt_s += other.prompt_s;
  prompt_passes += other.prompt_passes;
  return *this;
}

Load::Share& Load::Share::operator-=(const Share& other) {
  requests -= other.requests;
  keys -= other.keys;
  prompt_s -= other.prompt_s;
  prompt_passes -= other.prompt_passes;
  return *this;
}

void Load::add(Promise promise) {
  if (promise.wait) {
    promise.wait = promise.pages_before = 0;
    for (Promise& other : promises) {
      if (!other.wait) continue;
      const bool other_first = other.deadline <= promise.deadline;
      Promise& behind = other_first ? promise : other;
      ++*behind.wait;
      behind.pages_before += (other_first ? other : promise).pages;
    }
    add_slot({promise.deadline, promise.pages});
  }
  if (!promise.wait) ++running;
  all += promise.share;
  if (promise.start != TimePoint::min()) later.push_back(promises.size());
  promises.push_back(promise);
}

void Load::add_slot(const Slot& slot) {
  const auto sooner = [](const Slot& a, const Slot& b) { return a.free < b.free; };
  slots.insert(std::upper_bound(slots.begin(), slots.end(), slot, sooner), slot);
}

double Load::step_s(const StepTime& time) const {
  return time.seconds(time.streams(std::max(1, all.requests), all.keys));
}

/// Seconds until a place is free for a request that waits, and pages, for it and those before it.
double Load::wait_for_place(const Promise& promise, TimePoint now) const {
  int places = parallel - running - *promise.wait;
  int pages = free_pages - promise.pages_before - promise.pages;
  if (places > 0 && pages >= 0) return 0;
  for (const Slot& slot : slots) {
    ++places;
    pages += slot.pages;
    if (slot.free == TimePoint::max()) break;
    if (places > 0 && pages >= 0) return std::max(0.0, seconds_between(now, slot.free));
  }
  return std::numeric_limits<double>::infinity();
}

/// All but those that start when it is over.
Load::Share Load::company(const Promise& promise, int more) const {
  Share company = all;
  for (const size_t i : later) {
    if (promises[i].start >= promise.deadline) company -= promises[i].share;
  }
  company.requests = std::clamp(company.requests + more, 1, parallel);
  return company;
}

/// All prompts come first, for theirs may be the last. Who waits for its own waits for the streams' steps
/// between, too: one a pass, and one whenever the gap is used up, of which decoding takes half at most.
double Load::needed(const Promise& promise, const StepTime& time, TimePoint now, int more) const {
  const Share with = company(promise, more);
  const double step = time.seconds(time.streams(with.requests, with.keys));
  const double gap = std::max(longest_gap, 2 * step);
  const double between = promise.in_prompt ? with.prompt_passes + with.prompt_s / (gap / 2) : 0;
  double wait = promise.wait ? wait_for_place(promise, now) : 0;
  if (promise.start > now) wait = std::max(wait, seconds_between(now, promise.start));
  return wait + time.p99(with.prompt_s + (between + promise.steps) * step);
}

namespace {

/// Whether each promise would be kept, and one more.
struct Outcome {
  double late = -std::numeric_limits<double>::infinity();  ///< seconds, of the latest
  double needed = 0;                                       ///< by the new one
  bool new_is_late = false;
  TimePoint last_late = TimePoint::min();  ///< the last deadline of the others that would be missed
};

Outcome outcome_with(Load load, const Load::Promise& promise, const StepTime& time, TimePoint now) {
  load.add(promise);
  Outcome outcome;
  for (const Load::Promise& each : load.promises) {
    const double needed = load.needed(each, time, now);
    const double late = needed - seconds_between(now, each.deadline);
    outcome.late = std::max(outcome.late, late);
    const bool is_new = &each == &load.promises.back();
    if (is_new) outcome.needed = needed;
    if (late <= 0) continue;
    if (is_new)
      outcome.new_is_late = true;
    else
      outcome.last_late = std::max(outcome.last_late, each.deadline);
  }
  return outcome;
}

}  // namespace

Verdict judge(const Load& load, Load::Promise promise, const StepTime& time, TimePoint now) {
  Outcome outcome = outcome_with(load, promise, time, now);
  if (outcome.late > 0 && !outcome.new_is_late) {
    promise.start = outcome.last_late;
    outcome = outcome_with(load, promise, time, now);
  }
  Verdict verdict;
  verdict.kept = outcome.late <= 0;
  verdict.start = promise.start;
  verdict.needed_s = outcome.needed;
  if (verdict.kept) return verdict;
  Load idle;
  idle.longest_gap = load.longest_gap;
  idle.free_pages = promise.pages;
  promise.start = TimePoint::min();
  constexpr double kLongest = 60;  // where nobody can say when a place is free
  if (outcome_with(idle, promise, time, now).late <= 0) verdict.retry_s = std::min(outcome.late, kLongest);
  return verdict;
}

}  // namespace tern
