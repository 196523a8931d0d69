// What the scheduler owes, what its steps cost, and the calibration that finds out at start.
#include <algorithm>
#include <chrono>
#include <limits>

#include "engine/scheduler.h"

namespace tern {
namespace {

constexpr int kWarmUp = 3;          // rounds of the calibration in which the pace learns the most
constexpr double kFewAnswers = 20;  // that many don't show the longest of a hundred

double keys_after_prompt(const Generation& generation) {
  return generation.cached() + generation.prompt_left();
}

}  // namespace

StepTime Scheduler::step_time() const {
  return StepTime(pace_.forecast(), model_.shape().experts, model_.shape().experts_used);
}

/// What a share of a pass over the batch asks of the machine.
StepWork Scheduler::work_of(const Batch& batch, double share, bool prompts) const {
  const StepTime time = step_time();
  StepWork work;
  if (!prompts) {
    double keys = 0;
    for (const BatchToken& token : batch.tokens) keys += token.position + 1;
    return batch.tokens.empty() ? work : time.streams(static_cast<int>(batch.tokens.size()), keys);
  }
  const auto tokens = static_cast<double>(batch.tokens.size());
  work.passes = share;
  work.prompt = share * tokens;
  work.experts = share * distinct_experts(model_.shape().experts, model_.shape().experts_used, tokens);
  for (const BatchToken& token : batch.tokens) work.prompt_keys += share * (token.position + 1);
  return work;
}

Load Scheduler::load(bool for_one_more) const {
  Load load;
  load.parallel = limits_.parallel;
  load.longest_gap = limits_.longest_gap;
  load.free_pages = free_pages();
  load.answer_tokens = Load::kUsualAnswer * answers_.quantile(0.99, 1);
  if (answers_.weight() < kFewAnswers) load.answer_tokens = std::max(load.answer_tokens, Load::kUsualAnswer);
  const StepTime time = step_time();
  for (const auto& request : running_) {
    if (request->generation) owe(load, *request->generation, true, time, limits_.prompt_piece);
  }
  for (const auto& generation : waiting_) {
    if (generation->promised()) owe(load, *generation, false, time, limits_.prompt_piece);
  }
  if (load.all.prompt_s > 0 || for_one_more) {
    load.all.prompt_s += hold_up(express_, time);
    // The other pass stops for them, but not in the middle of a layer, nor of a step that nobody decodes in.
    const double layer = time.seconds(work_of(prompts_.batch, 1.0 / model_.shape().layers, true));
    load.all.prompt_s += std::min(hold_up(prompts_, time), std::max(limits_.longest_gap, layer));
    load.all.prompt_passes += express_.under_way() + prompts_.under_way();
  }
  add_slots(load, time);
  return load;
}

/// Seconds that a pass of prompts without a promise still takes; promised ones are counted with their
/// requests.
double Scheduler::hold_up(const Pass& pass, const StepTime& time) const {
  const auto is_promised = [](const Turn& turn) {
    return turn.request->generation && turn.request->generation->promised();
  };
  if (!pass.under_way() || std::any_of(pass.batch.turns.begin(), pass.batch.turns.end(), is_promised))
    return 0;
  const double rest = 1 - static_cast<double>(pass.paused.layers) / model_.shape().layers;
  return time.seconds(work_of(pass.batch, rest, true));
}

/// When the places of those that run are free at the latest. One whose prompt has no promise may wait for its
/// turn as long as there are promises.
void Scheduler::add_slots(Load& load, const StepTime& time) const {
  const double step = load.step_s(time);
  const TimePoint now = limits_.clock();
  for (const auto& request : running_) {
    if (!request->generation) continue;
    const Generation& generation = *request->generation;
    const double left = time.p99(load.all.prompt_s + generation.most_steps_left() * step);
    TimePoint free = now + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(left));
    if (generation.promised()) {
      free = std::min(free, generation.deadline()->at);
    } else if (generation.in_prompt()) {
      free = TimePoint::max();
    }
    const auto alone = [&](int32_t page) { return cache_.users(page) == 1; };
    const auto pages = cache_.pages(request->sequence);
    const auto held = static_cast<int>(std::count_if(pages.begin(), pages.end(), alone));
    load.add_slot({free, pages_to_come(*request) + held});
  }
}

Load::Promise promise_of(const Generation& generation, bool runs, const Load& load, const StepTime& time,
                         int prompt_piece) {
  Load::Promise promise;
  promise.deadline = generation.deadline()->at;
  promise.steps = generation.steps_left(load.answer_tokens);
  promise.in_prompt = generation.in_prompt();
  const StepWork prompt = time.prompt(generation.prompt_left(), generation.cached(), prompt_piece);
  promise.share = {1, keys_after_prompt(generation), time.seconds(prompt), prompt.passes};
  if (runs) return promise;
  promise.start = generation.start();
  promise.wait = 0;
  promise.pages = PagedCache::pages_for(generation.most_cached());
  return promise;
}

void owe(Load& load, const Generation& generation, bool runs, const StepTime& time, int prompt_piece) {
  if (!generation.promised()) {
    ++load.running;
    load.all += {1, keys_after_prompt(generation), 0, 0};
    return;
  }
  load.add(promise_of(generation, runs, load, time, prompt_piece));
}

/// Prompts of several lengths, then steps of one stream, of some and of all, again and again.
void Scheduler::calibrate(double seconds) {
  const TimePoint until =
      limits_.clock() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  const int longest = std::min(limits_.prompt_piece, limits_.cache.max_tokens / 2);
  const int streams = std::min(limits_.parallel, limits_.cache.pages);
  for (int round = 0; limits_.clock() < until; ++round) {
    if (round == kWarmUp) pace_.forget_ratios();
    const int tokens = std::max(1, longest >> (round % 3));
    if (!cache_.extend(0, tokens)) return;
    Batch& prompt = prompts_.batch;
    prompt.clear();
    for (int i = 0; i < tokens; ++i) prompt.tokens.push_back({0, i, 0, i + 1 == tokens});
    TimePoint began = limits_.clock();
    model_.forward(prompt.tokens, cache_, logits_.data());
    pace_.observe(work_of(prompt, 1, true), seconds_between(began, limits_.clock()));
    cache_.truncate(0, 0);
    for (const int count : {1, (streams + 1) / 2, streams}) {
      streams_.clear();
      for (SequenceId s = 0; s < count; ++s) {
        if (cache_.extend(s, 1)) streams_.tokens.push_back({0, cache_.length(s) - 1, s, true, true});
      }
      began = limits_.clock();
      model_.forward(streams_.tokens, cache_, logits_.data());
      pace_.observe(work_of(streams_, 1, false), seconds_between(began, limits_.clock()));
    }
    for (SequenceId s = 0; s < streams; ++s) cache_.truncate(s, 0);
  }
  prompts_.batch.clear();
  streams_.clear();
}

}  // namespace tern
