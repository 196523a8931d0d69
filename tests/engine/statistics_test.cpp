// What the engine says of itself, held to loads whose every number is known.
#include "engine/statistics.h"

#include <gtest/gtest.h>

#include "tests/engine/bench.h"

namespace tern {
namespace {

using namespace fake;

/// A reply of three thinking tokens, the markers, and five tokens of answer.
Script thinks_and_answers(size_t prompt) {
  return says(prompt, {kThink, 'a', 'b', kEndThink, 'h', 'e', 'l', 'l', 'o'});
}

GenerateRequest ask(int tokens) {
  GenerateRequest request;
  request.prompt.assign(tokens, 'q');
  return request;
}

GenerateRequest with_deadline(const Bench& bench, double seconds) {
  GenerateRequest request = ask(6);
  request.arrived = bench.now;
  request.deadline = Deadline{bench.now, LatePolicy::refuse, 6};
  request.deadline->at += std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  return request;
}

TEST(EngineStatistics, TokensOfAKnownLoad) {
  Bench bench({}, thinks_and_answers(6));
  std::vector<std::shared_ptr<Recorder>> sinks;
  for (int i = 0; i < 7; ++i) sinks.push_back(bench.add(ask(6)));
  bench.run_all();
  const EngineStatistics statistics = bench.scheduler.statistics();
  uint64_t generated = 0, thought = 0;
  for (const auto& sink : sinks) {
    generated += sink->wait().usage.completion_tokens;
    thought += sink->wait().usage.reasoning_tokens;
  }
  EXPECT_EQ(statistics.prompt_tokens, 7u * 6);
  EXPECT_EQ(statistics.generated_tokens, 7u * 10) << "the end token too";
  EXPECT_EQ(statistics.generated_tokens, generated);
  EXPECT_EQ(statistics.thinking_tokens, thought);
  EXPECT_EQ(statistics.closed_by_model, 7u);
  EXPECT_EQ(statistics.closed_by_budget + statistics.closed_by_deadline, 0u);
  EXPECT_EQ(statistics.steps, bench.scheduler.steps());
  EXPECT_EQ(statistics.running + statistics.waiting, 0);
  EXPECT_EQ(statistics.pages_used, 0);
  EXPECT_EQ(statistics.pages_reserved, 0);
  EXPECT_EQ(statistics.kept.on_time + statistics.kept.late + statistics.unpromised.on_time, 0u)
      << "nobody had a deadline";
}

TEST(EngineStatistics, PagesWhileARequestRuns) {
  Bench bench({.parallel = 4, .prompt_piece = 16, .context = 128, .pages = 10});
  GenerateRequest request = ask(40);
  request.max_tokens = 60;
  bench.add(std::move(request));
  bench.step();
  const EngineStatistics statistics = bench.scheduler.statistics();
  EXPECT_EQ(statistics.parallel, 4);
  EXPECT_EQ(statistics.running, 1);
  EXPECT_EQ(statistics.pages, 10);
  EXPECT_EQ(statistics.pages_reserved, PagedCache::pages_for(40 + 60 - 1));
  EXPECT_EQ(statistics.pages_used, 10 - bench.scheduler.cache().free_pages());
  EXPECT_GT(statistics.pages_used, 0);
}

TEST(EngineStatistics, PredictedBesideActual) {
  Bench bench({}, thinks_and_answers(6));
  bench.take_time(0.001, 0.0001);
  bench.scheduler.calibrate(1);
  EXPECT_EQ(bench.scheduler.statistics().decode.count, 0u) << "the calibration is no load";
  for (int i = 0; i < 20; ++i) bench.add(ask(6));
  const TimePoint began = bench.now;
  bench.run_all();
  const EngineStatistics statistics = bench.scheduler.statistics();
  const StepStatistics& decode = statistics.decode;
  EXPECT_EQ(decode.seconds.count(), decode.count);
  EXPECT_EQ(decode.ratio.count(), decode.count);
  EXPECT_NEAR(decode.actual_s + statistics.prompt.actual_s, seconds_between(began, bench.now), 1e-6);
  EXPECT_NEAR(decode.predicted_s / decode.actual_s, 1, 0.1);
  EXPECT_NEAR(decode.ratio.quantile(ratio_buckets(), 0.5), 1, 0.15);
  EXPECT_NEAR(decode.seconds.quantile(seconds_buckets(), 0.5), 0.0028, 0.0005) << "2 ms and 0.2 ms a stream";
}

TEST(EngineStatistics, DeadlinesEndInOneWayEach) {
  Bench bench({.parallel = 1, .prompt_piece = 16, .context = 128, .pages = 0}, thinks_and_answers(6));
  bench.take_time(0.001, 0);
  bench.scheduler.calibrate(1);
  bench.add(with_deadline(bench, 10), true);  // kept
  bench.step();
  bench.add(with_deadline(bench, 0.006), true);    // promised without asking: no place before its end
  bench.add(with_deadline(bench, 10), false);      // not promised, but on time
  bench.add(with_deadline(bench, 0.0001), false);  // neither
  const auto left = bench.add(with_deadline(bench, 20), true);
  const RequestId left_id = bench.last_id;
  bench.step();
  bench.scheduler.cancel(left_id);
  bench.run_all();
  const EngineStatistics statistics = bench.scheduler.statistics();
  EXPECT_EQ(statistics.kept.on_time, 1u);
  EXPECT_EQ(statistics.kept.late, 1u);
  EXPECT_EQ(statistics.expired, 1u);
  EXPECT_EQ(statistics.kept.abandoned, 1u);
  EXPECT_EQ(statistics.unpromised.on_time, 1u);
  EXPECT_EQ(statistics.unpromised.late, 1u);
  EXPECT_EQ(left->wait().reason, FinishReason::cancelled);
}

TEST(EngineStatistics, ClosingsByBudgetAndDeadline) {
  Bench bench({}, [](std::span<const int32_t> prefix, std::span<float> logits) {
    for (float& logit : logits) logit = -50;
    const bool closed = std::find(prefix.begin(), prefix.end(), kEndThink) != prefix.end();
    logits[closed ? static_cast<int32_t>(kEos) : static_cast<int32_t>('t')] = 0;
  });
  bench.take_time(0.001, 0);
  bench.scheduler.calibrate(1);
  GenerateRequest budget = ask(6);
  budget.starts_thinking = true;
  budget.thinking_budget = 4;
  bench.add(std::move(budget));
  GenerateRequest deadline = with_deadline(bench, 0.1);
  deadline.starts_thinking = true;
  bench.add(std::move(deadline), true);
  bench.run_all();
  const EngineStatistics statistics = bench.scheduler.statistics();
  EXPECT_EQ(statistics.closed_by_budget, 1u);
  EXPECT_EQ(statistics.closed_by_deadline, 1u);
  EXPECT_EQ(statistics.closed_by_model, 0u);
}

TEST(EngineStatistics, TheTimeInTheQueueEndsWithAPlace) {
  Bench bench({.parallel = 1, .prompt_piece = 16, .context = 128, .pages = 0}, thinks_and_answers(6));
  bench.take_time(0.001, 0);
  const auto first = bench.add([&] {
    GenerateRequest request = ask(6);
    request.arrived = bench.now;
    return request;
  }());
  const auto second = bench.add([&] {
    GenerateRequest request = ask(6);
    request.arrived = bench.now;
    return request;
  }());
  bench.run_all();
  EXPECT_EQ(first->wait().timings.queue_s, 0);
  EXPECT_NEAR(second->wait().timings.queue_s, first->wait().timings.total_s, 1e-9);
  EXPECT_GT(second->wait().timings.queue_s, 0.01);
}

TEST(EngineStatistics, TheEngineAddsWhatItPromisedAndRefused) {
  EngineOptions options;
  options.parallel = 4;
  options.calibration_s = 0.02;
  Engine engine(std::make_unique<FakeModel>(thinks_and_answers(6)), fake::tokenizer(), options);
  const auto submit = [&](double seconds, LatePolicy late) {
    GenerateRequest request = ask(6);
    request.deadline = Deadline{request.arrived, late, 6};
    request.deadline->at +=
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    auto sink = std::make_shared<Recorder>();
    engine.submit(std::move(request), sink);
    return sink->wait();
  };
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(submit(60, LatePolicy::refuse).promised);
  for (int i = 0; i < 3; ++i) EXPECT_THROW(submit(-1, LatePolicy::refuse), DeadlineRefused);
  EXPECT_FALSE(submit(-1, LatePolicy::best_effort).promised);
  engine.drain();
  const EngineStatistics statistics = engine.statistics();
  EXPECT_EQ(statistics.promised, 5u);
  EXPECT_EQ(statistics.refused, 3u);
  EXPECT_EQ(statistics.kept.on_time, 5u);
  EXPECT_EQ(statistics.unpromised.late, 1u);
  EXPECT_EQ(statistics.prompt_tokens, 6u * 6);
  EXPECT_EQ(statistics.generated_tokens, 6u * 10);
  EXPECT_TRUE(engine.expert_choices().empty());
}

}  // namespace
}  // namespace tern
