// Token buckets on a clock of our own.
#include "serve/limits.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/error.h"

namespace tern {
namespace {

TimePoint at(double seconds) {
  return TimePoint() +
         std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1000 + seconds));
}

TEST(Limits, RatesAreReadAndOthersRefused) {
  EXPECT_EQ(parse_rate("60/min"), 60);
  EXPECT_EQ(parse_rate("1000000000/min"), 1e9);
  for (const char* text : {"", "60", "/min", "0/min", "-1/min", "60/hour", "1.5/min", "60/minute", " 60/min",
                           "1000000001/min", "99999999999999999999/min", "60 /min", "nan/min"}) {
    EXPECT_THROW(parse_rate(text), Error) << text;
  }
}

TEST(Limits, ABurstOfAMinutesWorthThenOneByOne) {
  Account account({60, 0}, at(0));
  for (int i = 0; i < 60; ++i) EXPECT_EQ(account.take(at(0)), 0) << i;
  EXPECT_NEAR(account.take(at(0)), 1, 1e-9);
  EXPECT_NEAR(account.take(at(0.75)), 0.25, 1e-6) << "what was refused wasn't counted";
  EXPECT_EQ(account.take(at(1.001)), 0);
  EXPECT_GT(account.take(at(1.001)), 0.9);
  for (int i = 0; i < 60; ++i)
    EXPECT_EQ(account.take(at(1000)), 0) << "no more than a minute's worth is kept";
  EXPECT_GT(account.take(at(1000)), 0);
}

TEST(Limits, TheWaitThatWasToldIsEnough) {
  Account account({7, 100}, at(0));
  double now = 0;
  for (int i = 0; i < 200; ++i) {
    const double wait = account.take(at(now));
    if (wait == 0) {
      account.spend(40, at(now));
      continue;
    }
    EXPECT_GT(account.take(at(now + wait * 0.99)), 0);
    now += wait + 1e-6;
    EXPECT_EQ(account.take(at(now)), 0);
  }
}

TEST(Limits, TokensMayMakeDebtsThatArePaidByTime) {
  Account account({0, 600}, at(0));
  EXPECT_EQ(account.take(at(0)), 0);
  account.spend(1200, at(0));
  EXPECT_NEAR(account.take(at(0)), 60.1, 1e-6);
  EXPECT_GT(account.take(at(59)), 0);
  EXPECT_EQ(account.take(at(60.2)), 0);
}

TEST(Limits, NewLimitsKeepWhatWasUsed) {
  Account account({10, 0}, at(0));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(account.take(at(0)), 0);
  account.set_limits({12, 0}, at(0));
  EXPECT_EQ(account.take(at(0)), 0);
  EXPECT_EQ(account.take(at(0)), 0);
  EXPECT_GT(account.take(at(0)), 0);
}

TEST(Limits, AccountsAreOneACallerAndBounded) {
  Accounts accounts(100);
  EXPECT_EQ(accounts.of("free", {}, at(0)), nullptr);
  EXPECT_EQ(accounts.size(), 0u);
  const auto kept = accounts.of("kept", {1, 0}, at(0));
  EXPECT_EQ(kept->take(at(0)), 0);
  for (int i = 0; i < 100'000; ++i) {
    accounts.of(std::to_string(i), {1, 0}, at(0));
    if (i % 50 == 0) {
      EXPECT_EQ(accounts.of("kept", {1, 0}, at(0)), kept) << "who asks often is remembered";
    }
  }
  EXPECT_EQ(accounts.size(), 100u);
  EXPECT_NE(accounts.of("0", {1, 0}, at(0)), nullptr);
  EXPECT_GT(kept->take(at(0)), 0);
}

TEST(Limits, ManyThreadsTakeNoMoreThanThereIs) {
  Accounts accounts(2);
  std::atomic<int> taken = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) taken += accounts.of("one", {1000, 0}, at(0))->take(at(0)) == 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 1000);
}

}  // namespace
}  // namespace tern
