#include "engine/promises.h"

#include <algorithm>
#include <cmath>

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

namespace {

/// Seconds until a place among those that run is free for one more.
double wait_for_place(const Load& load) {
  if (load.requests < load.parallel) return 0;
  std::vector<double> slots = load.slots;
  std::sort(slots.begin(), slots.end());
  const size_t ahead = load.requests - load.parallel;
  if (slots.empty()) return 0;
  return slots[std::min(ahead, slots.size() - 1)];
}

double finish_s(const Load& load, const Demand& demand, const StepTime& time, double steps) {
  const int streams = std::min(load.parallel, load.requests + 1);
  const double step = time.seconds(time.streams(streams, load.keys + demand.prompt_tokens));
  return wait_for_place(load) + load.prompt_s + time.seconds(demand.prompt) + steps * step;
}

}  // namespace

Verdict judge(const Load& load, const Demand& demand, const StepTime& time, TimePoint now) {
  const double answer = demand.deadline.answer_tokens > 0 ? demand.deadline.answer_tokens : load.answer_tokens;
  Verdict verdict;
  verdict.promise = {demand.deadline.at, demand.closing_tokens + answer};
  verdict.needed_s = finish_s(load, demand, time, verdict.promise.steps);

  const double left = seconds_between(now, demand.deadline.at);
  const int streams = std::min(load.parallel, load.requests + 1);
  const double step = time.seconds(time.streams(streams, load.keys + demand.prompt_tokens));
  const double prompts = load.prompt_s + time.seconds(demand.prompt);
  double missing = verdict.needed_s - left;
  for (const Load::Promise& promise : load.promises) {
    missing = std::max(missing, prompts + promise.steps * step - seconds_between(now, promise.deadline));
  }
  verdict.kept = missing <= 0;
  const Load idle{.parallel = load.parallel};
  const bool possible = finish_s(idle, demand, time, verdict.promise.steps) <= left;
  verdict.retry_s = verdict.kept || !possible ? 0 : missing;
  return verdict;
}

}  // namespace tern
