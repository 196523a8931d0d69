// Deadlines on a simulated clock: what is promised is kept, what can't be kept is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <memory>
#include <vector>

#include "base/rng.h"
#include "tests/engine/bench.h"

namespace tern {
namespace {

using namespace fake;

/// Thinks until it is closed, then says as many tokens as the prompt's first id is, and ends.
Script thinks_forever() {
  return [](std::span<const int32_t> prefix, std::span<float> logits) {
    for (float& logit : logits) logit = -50;
    size_t closed = prefix.size();
    while (closed > 0 && prefix[closed - 1] != kEndThink) --closed;
    if (closed == 0) {
      logits['t'] = 0;
    } else {
      const bool answers = prefix.size() - closed < static_cast<size_t>(prefix[0]);
      logits[answers ? static_cast<int32_t>('a') : static_cast<int32_t>(kEos)] = 0;
    }
  };
}

GenerateRequest ask(const Bench& bench, int prompt, int answer, double seconds) {
  GenerateRequest request;
  request.prompt.assign(prompt, 'q');
  request.prompt[0] = answer;
  request.starts_thinking = true;
  request.arrived = bench.now;
  request.deadline = Deadline{
      bench.now + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds)),
      LatePolicy::refuse, answer + 1};
  return request;
}

/// A machine whose decode step takes 2 ms and 0.2 ms a stream, its prompts 0.2 ms a token.
std::unique_ptr<Bench> make_bench(int parallel = 8) {
  auto bench = std::make_unique<Bench>(Bench::Sizes{parallel, 64, 1024, 0}, thinks_forever());
  bench->take_time(0.001, 0.0001);
  bench->scheduler.calibrate(2);
  return bench;
}

TEST(Deadline, ThinksAsLongAsThereIsTimeThenAnswers) {
  const auto bench = make_bench();
  const auto sink = bench->add_promised(ask(*bench, 50, 20, 0.5));
  ASSERT_TRUE(sink);
  bench->run_all();
  const FinishEvent& finish = sink->wait();
  EXPECT_EQ(finish.reason, FinishReason::stop);
  EXPECT_EQ(finish.closed_by, ClosedBy::deadline);
  EXPECT_EQ(finish.on_time, true);
  EXPECT_TRUE(finish.promised);
  EXPECT_EQ(sink->text(false), std::string(20, 'a'));
  // 0.5 s less prompt, closing and answer are some 200 steps of 2.2 ms; little of it may be wasted.
  EXPECT_GE(finish.usage.reasoning_tokens, 120);
  EXPECT_GE(finish.timings.total_s, 0.35);
}

TEST(Deadline, WhatNoEngineCanKeepIsRefusedWithoutHope) {
  const auto bench = make_bench();
  EXPECT_FALSE(bench->add_promised(ask(*bench, 50, 20, 0.02)));
  EXPECT_EQ(bench->verdict.retry_s, 0);
  EXPECT_GT(bench->verdict.needed_s, 0.04);
}

TEST(Deadline, ABusyEngineSaysWhenToComeAgain) {
  const auto bench = make_bench(4);
  std::vector<std::shared_ptr<Recorder>> kept;
  for (int i = 0; i < 30; ++i) {
    if (auto sink = bench->add_promised(ask(*bench, 200, 40, 0.4))) kept.push_back(sink);
  }
  EXPECT_GE(kept.size(), 2u);
  EXPECT_LT(kept.size(), 30u);
  EXPECT_GT(bench->verdict.retry_s, 0);
  EXPECT_LT(bench->verdict.retry_s, 1);
  bench->run_all();
  for (const auto& sink : kept) EXPECT_EQ(sink->wait().on_time, true);
}

/// A request that thinks for ever, with a deadline just far enough for it alone.
GenerateRequest tight(const Bench& bench) {
  return ask(bench, 10, 20, 0.075);
}

TEST(Deadline, WhoCanWaitStartsAfterThoseThatCantBearIt) {
  const auto bench = make_bench();
  const auto first = bench->add_promised(tight(*bench));
  ASSERT_TRUE(first);
  bench->step();
  // A long prompt: beside it the first one's promise would break.
  const auto second = bench->add_promised(ask(*bench, 300, 20, 0.5));
  ASSERT_TRUE(second);
  EXPECT_GT(bench->verdict.start, bench->now);
  while (!first->finished()) {
    EXPECT_EQ(bench->scheduler.running(), 1);
    bench->step();
  }
  bench->step();
  EXPECT_EQ(bench->scheduler.running(), 1) << "it doesn't wait longer than for them";
  EXPECT_EQ(bench->scheduler.waiting(), 0);
  bench->run_all();
  EXPECT_EQ(first->wait().on_time, true);
  EXPECT_EQ(second->wait().on_time, true);
  EXPECT_GT(second->wait().usage.reasoning_tokens, 20);
}

TEST(Deadline, WhoCantWaitForThemIsRefused) {
  const auto bench = make_bench();
  ASSERT_TRUE(bench->add_promised(tight(*bench)));
  bench->step();
  EXPECT_FALSE(bench->add_promised(ask(*bench, 300, 20, 0.15)));
  EXPECT_GT(bench->verdict.retry_s, 0);
  bench->run_all();
  EXPECT_TRUE(bench->add_promised(ask(*bench, 300, 20, 0.15)));
  bench->run_all();
}

TEST(Deadline, WhoWaitsKeepsItsPlaceBesideThoseWhoPassIt) {
  const auto bench = make_bench(2);
  const auto first = bench->add_promised(tight(*bench));
  bench->step();
  const auto second = bench->add_promised(ask(*bench, 300, 20, 0.4));
  ASSERT_TRUE(first && second);
  // There are two places: this one would have to give its own up in the middle.
  const auto third = bench->add_promised(ask(*bench, 10, 100, 2));
  ASSERT_TRUE(third);
  const auto nobody = [&] {
    GenerateRequest request = ask(*bench, 10, 20, 1);
    request.deadline.reset();
    request.max_tokens = 500;
    return bench->add(request);
  }();
  bench->run_all();
  for (const auto& sink : {first, second, third}) EXPECT_EQ(sink->wait().on_time, true);
  EXPECT_EQ(nobody->wait().usage.completion_tokens, 500);
}

TEST(Deadline, TheMostUrgentOfThoseThatWaitStartsFirst) {
  const auto bench = make_bench(1);
  const auto running = bench->add_promised(ask(*bench, 10, 20, 0.1));
  bench->step();
  const auto patient = bench->add_promised(ask(*bench, 10, 20, 2));
  const auto urgent = bench->add_promised(ask(*bench, 10, 20, 0.3));
  ASSERT_TRUE(running);
  ASSERT_TRUE(patient);
  ASSERT_TRUE(urgent) << bench->verdict.needed_s;
  while (!urgent->finished()) {
    EXPECT_FALSE(patient->finished());
    bench->step();
  }
  bench->run_all();
  for (const auto& sink : {running, urgent, patient}) EXPECT_EQ(sink->wait().on_time, true);
}

TEST(Deadline, WhoWasPromisedNothingBreaksNoPromise) {
  const auto bench = make_bench(4);
  const auto promised = bench->add_promised(ask(*bench, 40, 30, 0.3));
  ASSERT_TRUE(promised);
  std::vector<std::shared_ptr<Recorder>> others;
  for (int i = 0; i < 6; ++i) {
    GenerateRequest request = ask(*bench, 700, 5, 1);
    request.deadline.reset();
    request.starts_thinking = false;
    request.max_tokens = 20;
    others.push_back(bench->add(request));
    bench->step();
  }
  bench->run_all();
  EXPECT_EQ(promised->wait().on_time, true);
  for (const auto& sink : others) EXPECT_EQ(sink->wait().usage.completion_tokens, 20);
}

TEST(Deadline, PagesThatOthersHoldAreNotPromised) {
  Bench bench({4, 64, 256, 10}, thinks_forever());
  bench.take_time(0.001, 0.0001);
  bench.scheduler.calibrate(2);
  GenerateRequest large = ask(bench, 200, 5, 1);  // seven pages
  large.deadline.reset();
  large.max_tokens = 20;
  const auto running = bench.add(large);
  bench.step();
  GenerateRequest request = ask(bench, 100, 20, 5);
  request.max_tokens = 100;  // seven pages, too
  EXPECT_FALSE(bench.add_promised(request));
  EXPECT_GT(bench.verdict.retry_s, 0);
  bench.run_all();
  EXPECT_TRUE(bench.add_promised(request));
  bench.run_all();
}

TEST(Deadline, ABrokenPromiseHoldsNobodyUp) {
  // Given without asking whether its pages are there.
  Bench bench({4, 64, 256, 10}, thinks_forever());
  bench.take_time(0.001, 0.0001);
  bench.scheduler.calibrate(2);
  GenerateRequest large = ask(bench, 200, 5, 1);
  large.deadline.reset();
  large.max_tokens = 20;
  const auto running = bench.add(large);
  bench.step();
  GenerateRequest request = ask(bench, 100, 20, 0.1);
  request.max_tokens = 100;
  const auto broken = bench.add(request, true);
  for (int i = 0; i < 1000 && !running->finished(); ++i) {
    bench.step();
    bench.pass(0.001);
  }
  EXPECT_EQ(running->wait().usage.completion_tokens, 20);
  EXPECT_EQ(broken->wait().reason, FinishReason::length);
  EXPECT_EQ(broken->wait().on_time, false);
}

TEST(Deadline, AnAnswerThatIsNotOverInTimeIsCutAndLate) {
  const auto bench = make_bench();
  GenerateRequest request = ask(*bench, 50, 200, 0.3);
  request.deadline->answer_tokens = 20;  // it says ten times that
  const auto sink = bench->add_promised(request);
  ASSERT_TRUE(sink);
  bench->run_all();
  EXPECT_EQ(sink->wait().reason, FinishReason::length);
  EXPECT_EQ(sink->wait().on_time, false);
  EXPECT_LE(sink->wait().timings.total_s, 0.31);
}

/// Thinks until it is closed, then says `answer` byte by byte, its last byte for ever or, if it `ends`, once.
Script answers(std::string answer, bool ends) {
  return [answer = std::move(answer), ends](std::span<const int32_t> prefix, std::span<float> logits) {
    for (float& logit : logits) logit = -50;
    const auto closed = std::find(prefix.rbegin(), prefix.rend(), static_cast<int32_t>(kEndThink));
    const auto said = static_cast<size_t>(closed - prefix.rbegin());
    int32_t next = 't';
    if (closed != prefix.rend()) next = static_cast<unsigned char>(answer[std::min(said, answer.size() - 1)]);
    if (closed != prefix.rend() && ends && said >= answer.size()) next = kEos;
    logits[next] = 0;
  };
}

FinishEvent answer_within(int reserve, const std::string& answer, bool ends, std::string& text) {
  Bench bench({8, 64, 1024, 0}, answers(answer, ends));
  bench.take_time(0.001, 0.0001);
  bench.scheduler.calibrate(2);
  const auto sink = bench.add_promised(ask(bench, 50, reserve - 1, 0.3));
  if (!sink) return {};
  bench.run_all();
  text = sink->text();
  return sink->wait();
}

TEST(Deadline, AnAnswerThatNeedsMoreEndsBehindASentence) {
  std::string answer, text;
  for (int i = 0; i < 30; ++i) answer += "Some words. ";
  const FinishEvent finish = answer_within(60, answer, false, text);
  EXPECT_EQ(finish.reason, FinishReason::length);
  EXPECT_EQ(finish.on_time, false);
  EXPECT_TRUE(text.ends_with(".") || text.ends_with(". ")) << text;
  EXPECT_GE(text.size(), 45u);
  EXPECT_LE(finish.timings.total_s, 0.3);
}

TEST(Deadline, AnAnswerThatIsOverWithItsSentenceIsComplete) {
  std::string text;
  const std::string answer = "This is what there was to say, and it took its time.";
  const FinishEvent finish = answer_within(static_cast<int>(answer.size()) + 1, answer, true, text);
  EXPECT_EQ(finish.reason, FinishReason::stop);
  EXPECT_EQ(finish.on_time, true);
  EXPECT_EQ(text, answer);
}

TEST(Deadline, AWholeJsonValueIsComplete) {
  std::string text;
  const FinishEvent finish = answer_within(40, "{\"ids\": [1, 2, 3], \"of\": \"x.\"}\n", false, text);
  EXPECT_EQ(finish.reason, FinishReason::stop);
  EXPECT_EQ(finish.on_time, true);
  EXPECT_EQ(text.substr(0, 30), "{\"ids\": [1, 2, 3], \"of\": \"x.\"}");
}

TEST(Deadline, TheClosingLineIsSaidInTime) {
  const auto bench = make_bench();
  GenerateRequest request = ask(*bench, 50, 20, 0.3);
  request.closing_line = " So I answer now.";
  const auto sink = bench->add_promised(request);
  ASSERT_TRUE(sink);
  bench->run_all();
  EXPECT_EQ(sink->wait().on_time, true);
  EXPECT_EQ(sink->wait().closed_by, ClosedBy::deadline);
  EXPECT_TRUE(sink->text(true).ends_with("t So I answer now.")) << sink->text(true);
  EXPECT_EQ(sink->text(false), std::string(20, 'a'));
  request.closing_line = "no </think> in it";
  EXPECT_THROW(bench->add(request), Error);
}

TEST(Deadline, BestEffortClosesItsThinkingToo) {
  const auto bench = make_bench();
  GenerateRequest request = ask(*bench, 50, 20, 0.2);
  const auto sink = bench->add(request);
  bench->run_all();
  EXPECT_EQ(sink->wait().closed_by, ClosedBy::deadline);
  EXPECT_FALSE(sink->wait().promised);
  EXPECT_EQ(sink->wait().on_time, true);
}

TEST(Deadline, WithoutOneThinkingGoesOn) {
  const auto bench = make_bench();
  GenerateRequest request = ask(*bench, 50, 20, 0.2);
  request.deadline.reset();
  request.max_tokens = 400;
  const auto sink = bench->add(request);
  bench->run_all();
  EXPECT_EQ(sink->wait().reason, FinishReason::length);
  EXPECT_EQ(sink->wait().closed_by, ClosedBy::none);
  EXPECT_EQ(sink->wait().on_time, std::nullopt);
}

/// TERN_WORKLOADS says how many; scripts/check-long runs 10,000 of each kind.
uint64_t workloads() {
#if defined(TERN_SANITIZED)
  constexpr uint64_t kUsual = 10;
#else
  constexpr uint64_t kUsual = 250;
#endif
  const char* asked = std::getenv("TERN_WORKLOADS");
  return asked ? std::strtoull(asked, nullptr, 10) : kUsual;
}

struct Outcome {
  int promised = 0, on_time = 0, refused = 0;
};

/// Requests that come at random, with deadlines and without, to a machine whose layers vary by a tenth and
/// hiccup now and then.
Outcome random_workload(uint64_t seed, bool noisy) {
  Rng rng(seed);
  const auto bench = make_bench(static_cast<int>(rng.between(1, 12)));
  if (noisy) {
    bench->model.on_layer = [&bench = *bench, &rng](std::span<const BatchToken> batch, int) {
      const double hiccup = rng.chance(0.002) ? 3 : 1;
      bench.pass((0.001 + 0.0001 * static_cast<double>(batch.size())) * (0.9 + 0.2 * rng.uniform()) * hiccup);
    };
    bench->scheduler.calibrate(2);
  }
  Outcome outcome;
  std::vector<std::shared_ptr<Recorder>> promised, all;
  const double rate = 0.02 + 0.3 * rng.uniform();
  for (int step = 0; step < 400; ++step) {
    if (bench->scheduler.running() + bench->scheduler.waiting() == 0) bench->pass(0.002);
    while (rng.chance(rate)) {
      GenerateRequest request = ask(*bench, static_cast<int>(rng.between(1, 300)),
                                    static_cast<int>(rng.between(1, 60)), 0.05 + rng.uniform());
      if (rng.chance(0.3)) {
        request.deadline.reset();
        request.max_tokens = static_cast<int>(rng.between(1, 100));
        all.push_back(bench->add(request));
        continue;
      }
      if (auto sink = bench->add_promised(request)) {
        promised.push_back(sink);
      } else {
        ++outcome.refused;
      }
    }
    bench->step();
  }
  bench->run_all();
  for (const auto& sink : promised) {
    ++outcome.promised;
    outcome.on_time += *sink->wait().on_time;
  }
  for (const auto& sink : all) EXPECT_TRUE(sink->finished());
  return outcome;
}

TEST(Deadline, EveryPromiseIsKeptWhereStepsTakeWhatTheyTake) {
  Outcome sum;
  for (uint64_t seed = 1; seed <= workloads(); ++seed) {
    const Outcome outcome = random_workload(seed, false);
    EXPECT_EQ(outcome.on_time, outcome.promised) << "seed " << seed;
    sum.promised += outcome.promised;
    sum.refused += outcome.refused;
  }
  std::printf("%d promises kept, %d requests refused\n", sum.promised, sum.refused);
  EXPECT_GT(sum.promised, 5 * static_cast<int>(workloads()));
}

TEST(Deadline, AFewInAThousandAreLateWhereTheMachineIsUnsteady) {
  Outcome sum;
  for (uint64_t seed = 1; seed <= workloads(); ++seed) {
    const Outcome outcome = random_workload(seed, true);
    sum.promised += outcome.promised;
    sum.on_time += outcome.on_time;
    sum.refused += outcome.refused;
  }
  std::printf("%d of %d promises kept, %d requests refused\n", sum.on_time, sum.promised, sum.refused);
  EXPECT_GE(sum.on_time + 1, 0.995 * sum.promised);  // few loads may have one all the same
}

}  // namespace
}  // namespace tern
