// What the schedule does for deadlines: who waits, whose thinking ends.
#include <algorithm>
#include <limits>

#include "engine/scheduler.h"

namespace tern {
namespace {

constexpr double kLastPart = 0.25;  // of an answer's reserve: then it looks for an end

}  // namespace

/// A promise that was broken before it had a place must not hold up the others any longer.
void Scheduler::drop_broken() {
  while (!waiting_.empty() && waiting_.front()->promised() &&
         limits_.clock() >= waiting_.front()->deadline()->at) {
    statistics_.ended(waiting_.front()->finish(FinishReason::length));
    ++statistics_.expired;
    waiting_.pop_front();
  }
}

/// Whether those that can't bear its company are not over yet.
bool Scheduler::must_wait(const Generation& generation) const {
  if (limits_.clock() >= generation.start()) return false;
  const auto comes_first = [&](const Generation* other) {
    return other && other != &generation && other->promised() && other->deadline()->at <= generation.start();
  };
  return std::any_of(running_.begin(), running_.end(),
                     [&](const auto& request) { return comes_first(request->generation.get()); }) ||
         std::any_of(waiting_.begin(), waiting_.end(),
                     [&](const auto& each) { return comes_first(each.get()); });
}

/// Whether a promised request waits for its prompt.
bool Scheduler::prompts_are_urgent() const {
  return std::any_of(running_.begin(), running_.end(), [](const auto& request) {
    return request->generation && request->generation->promised() && request->generation->in_prompt();
  });
}

/// Seconds that the promises leave for other things, beside `more` streams without a promise.
double Scheduler::slack(int more) const {
  const Load owed = load(false);
  if (owed.promises.empty()) return std::numeric_limits<double>::infinity();
  const StepTime time = step_time();
  const TimePoint now = limits_.clock();
  double least = std::numeric_limits<double>::infinity();
  for (const Load::Promise& promise : owed.promises)
    least = std::min(least, seconds_between(now, promise.deadline) - owed.needed(promise, time, now, more));
  return least;
}

/// Once a step, before it.
void Scheduler::mind_deadlines() {
  const auto has_deadline = [](const auto& request) {
    return request->generation && request->generation->deadline();
  };
  if (std::none_of(running_.begin(), running_.end(), has_deadline)) return;
  const Load owed = load(false);
  const StepTime time = step_time();
  for (const auto& request : running_) {
    if (has_deadline(request)) end_in_time(*request->generation, owed, time);
  }
}

/// Closes the thinking where its deadline leaves no more than closing, answer and one step; and lets an
/// answer that uses its reserve up end where it can.
void Scheduler::end_in_time(Generation& generation, const Load& owed, const StepTime& time) const {
  const TimePoint now = limits_.clock();
  const double left = seconds_between(now, generation.deadline()->at);
  if (generation.may_think()) {
    Load::Promise promise = promise_of(generation, true, owed, time, limits_.prompt_piece);
    promise.steps += 1;  // the one that is about to run
    if (left <= owed.needed(promise, time, now)) generation.close_thinking();
    return;
  }
  const double last = generation.reserve(owed.answer_tokens) * kLastPart * owed.step_s(time);
  if (generation.promised() && left <= time.p99(last)) generation.wind_down();
}

}  // namespace tern
