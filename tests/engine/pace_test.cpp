// What the pace learns, from machines whose costs are known.
#include "engine/pace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace tern {
namespace {

constexpr Pace::Costs kMachine = {0.010, 0.0005, 0.0008, 0.0004, 2e-7, 5e-8};

StepWork random_work(Rng& rng) {
  StepWork work;
  work.passes = rng.chance(0.5) ? 1 : rng.uniform();
  work.streams = static_cast<double>(rng.between(0, 16));
  work.prompt = rng.chance(0.4) ? static_cast<double>(rng.between(1, 128)) : 0;
  if (work.streams + work.prompt == 0) work.streams = 1;
  work.experts = distinct_experts(64, 6, work.streams + work.prompt);
  work.stream_keys = work.streams * static_cast<double>(rng.between(1, 4000));
  work.prompt_keys = work.prompt * static_cast<double>(rng.between(1, 8000));
  return work;
}

double truth(const Pace::Costs& machine, const StepWork& work) {
  return Pace(machine).predict(work);
}

double noise(Rng& rng) {
  return std::exp(0.05 * (rng.uniform() + rng.uniform() + rng.uniform() - 1.5));
}

/// Shows it so many random steps of a machine.
void teach(Pace& pace, const Pace::Costs& machine, int steps, uint64_t seed) {
  Rng rng(seed);
  for (int i = 0; i < steps; ++i) {
    const StepWork work = random_work(rng);
    pace.observe(work, truth(machine, work) * noise(rng));
  }
}

/// The mean of |ln(predicted / true)| over fresh steps.
double mean_error(const Pace& pace, const Pace::Costs& machine, uint64_t seed) {
  Rng rng(seed);
  double sum = 0;
  for (int i = 0; i < 500; ++i) {
    const StepWork work = random_work(rng);
    sum += std::abs(std::log(pace.predict(work) / truth(machine, work)));
  }
  return sum / 500;
}

TEST(Pace, LearnsAMachineFromItsSteps) {
  Pace pace;
  teach(pace, kMachine, 3000, 1);
  EXPECT_LE(mean_error(pace, kMachine, 2), 0.05);
}

TEST(Pace, AFewStepsAreEnoughToStart) {
  Pace pace;
  teach(pace, kMachine, 24, 3);
  EXPECT_LE(mean_error(pace, kMachine, 4), 0.10);
}

TEST(Pace, FollowsAMachineThatSlowsDown) {
  Pace pace(kMachine);
  Pace::Costs slower = kMachine;
  for (double& cost : slower) cost *= 2;
  teach(pace, slower, 100, 5);
  EXPECT_LE(mean_error(pace, slower, 6), 0.10);
}

TEST(Pace, WhatWasNotInTheStepsKeepsItsCost) {
  Pace pace(kMachine);
  for (int i = 0; i < 1000; ++i) pace.observe({.passes = 1, .streams = 1, .stream_keys = 100}, 0.020);
  EXPECT_EQ(pace.costs()[2], kMachine[2]);
  EXPECT_EQ(pace.costs()[5], kMachine[5]);
  EXPECT_NEAR(pace.predict({.passes = 1, .streams = 1, .stream_keys = 100}), 0.020, 1e-6);
}

TEST(Pace, ItsP99HoldsForOneStepInAHundred) {
  Pace pace(kMachine);
  Rng rng(7);
  const auto time = [&](const StepWork& work) {
    return truth(kMachine, work) * noise(rng) * (rng.chance(0.03) ? 1.8 : 1);
  };
  for (int i = 0; i < 2000; ++i) {
    const StepWork work = random_work(rng);
    pace.observe(work, time(work));
  }
  int longer = 0;
  for (int i = 0; i < 5000; ++i) {
    const StepWork work = random_work(rng);
    const double seconds = time(work);
    longer += seconds > pace.forecast().p99(pace.predict(work));
    pace.observe(work, seconds);
  }
  EXPECT_LE(longer, 5000 * 0.015);
  EXPECT_LE(pace.forecast().p99(1e-3), 2.3e-3);
}

/// A hundred steps take their mean and a little, not a hundred times their worst.
TEST(Pace, LongStretchesAreKnownBetterThanSteps) {
  Pace pace(kMachine);
  Rng rng(8);
  const StepWork work{.passes = 1, .streams = 1, .stream_keys = 100};  // 10.5 ms
  const auto time = [&] { return truth(kMachine, work) * (rng.chance(0.02) ? 5 : 1); };
  for (int i = 0; i < 30'000; ++i) pace.observe(work, time());
  const double step = pace.predict(work);
  EXPECT_GE(pace.forecast().p99(step), 4 * step);
  EXPECT_LE(pace.forecast().p99(400 * step), 1.25 * 400 * step);
  int longer = 0;
  for (int stretch = 0; stretch < 2'000; ++stretch) {
    double sum = 0, predicted = 0;
    for (int i = 0; i < 100; ++i) {
      const double seconds = time();
      predicted += pace.predict(work);
      sum += seconds;
      pace.observe(work, seconds);
    }
    longer += sum > pace.forecast().p99(predicted);
  }
  EXPECT_LE(longer, 40);
}

TEST(Pace, OneHiccupTeachesLittle) {
  Pace pace(kMachine);
  const StepWork work{.passes = 1, .streams = 4};
  const double before = pace.predict(work);
  pace.observe(work, 100);
  EXPECT_LE(pace.predict(work), 1.2 * before);
  pace.observe(work, 0);
  pace.observe(work, std::nan(""));
  EXPECT_LE(pace.predict(work), 1.2 * before);
}

TEST(Pace, DistinctExpertsAreThoseOfThePaper) {
  EXPECT_NEAR(distinct_experts(256, 8, 1), 8, 1e-9);
  EXPECT_NEAR(distinct_experts(256, 8, 8), 57, 0.5);
  EXPECT_NEAR(distinct_experts(256, 8, 32), 163, 0.5);
  EXPECT_NEAR(distinct_experts(256, 8, 64), 222, 0.5);
  EXPECT_EQ(distinct_experts(0, 0, 8), 0);
}

TEST(RecentQuantiles, ForgetWhatWasLongAgo) {
  RecentQuantiles ratios;
  EXPECT_EQ(ratios.quantile(0.5, 7), 7);
  for (int i = 0; i < 1000; ++i) ratios.add(4);
  EXPECT_NEAR(ratios.quantile(0.5, 0), 4, 0.25);
  for (int i = 0; i < 4000; ++i) ratios.add(1);
  EXPECT_NEAR(ratios.quantile(0.99, 0), 1, 0.06);
  ratios.add(1e9);
  ratios.add(0);
  EXPECT_GT(ratios.quantile(1, 0), 16);
  EXPECT_LT(ratios.quantile(0, 0), 0.07);
}

}  // namespace
}  // namespace tern
