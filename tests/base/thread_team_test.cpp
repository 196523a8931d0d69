#include "base/thread_team.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/cores.h"
#include "base/error.h"

namespace tern {
namespace {

constexpr double large = 1e9;  // work that is worth sharing

// Each item is visited once, by a member of the team.
void check_cover(ThreadTeam& team, size_t items, double work) {
  std::vector<std::atomic<int>> visits(items);
  std::atomic<bool> members_right = true;
  team.parallel_for(items, work, [&](size_t begin, size_t end, int member) {
    if (member < 0 || member >= team.size() || begin >= end || end > items) members_right = false;
    for (size_t i = begin; i < end; ++i) visits[i].fetch_add(1);
  });
  EXPECT_TRUE(members_right);
  for (size_t i = 0; i < items; ++i) ASSERT_EQ(visits[i].load(), 1) << "item " << i << " of " << items;
}

TEST(ThreadTeam, CoversEveryItemOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadTeam team(threads);
    EXPECT_EQ(team.size(), threads);
    for (size_t items : {0, 1, 2, 3, 7, 16, 17, 63, 1000}) {
      check_cover(team, items, large);
      check_cover(team, items, 200e3);
      check_cover(team, items, 0);
    }
  }
}

TEST(ThreadTeam, AtLeastTheCaller) {
  for (const int threads : {0, -1, -1000}) {
    ThreadTeam team(threads);
    EXPECT_EQ(team.size(), 1);
    check_cover(team, 100, large);
  }
}

// A process that may start no more threads gets an error, and those started before have ended.
TEST(ThreadTeam, RefusalIsAnError) {
#if defined(TERN_SANITIZED)
  GTEST_SKIP() << "sanitizers need the address space that this test takes away";
#endif
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // The threads' stacks are more address space than there is.
    const rlimit little{size_t{1} << 31, size_t{1} << 31};
    if (setrlimit(RLIMIT_AS, &little) != 0) _exit(2);
    try {
      ThreadTeam team(100000);
    } catch (const Error& error) {
      _exit(error.kind() == ErrorKind::limit ? 0 : 3);
    }
    _exit(4);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status)) << "killed by signal " << WTERMSIG(status);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST(ThreadTeam, SmallWorkStaysWithTheCaller) {
  ThreadTeam team(4);
  int calls = 0;
  team.parallel_for(1000, 100, [&](size_t begin, size_t end, int member) {
    ++calls;
    EXPECT_EQ(begin, 0u);
    EXPECT_EQ(end, 1000u);
    EXPECT_EQ(member, 0);
  });
  EXPECT_EQ(calls, 1);
}

// Whatever the machine, jobs of a few multiply-adds are not shared and those of many are.
TEST(ThreadTeam, WhatIsSharedDependsOnTheHandover) {
  ThreadTeam team(2);
  const auto pieces = [&](double work) {
    std::atomic<int> calls = 0;
    team.parallel_for(100, work, [&](size_t, size_t, int) { ++calls; });
    return calls.load();
  };
  team.measure_handover(1);  // so slow that it always pays
  EXPECT_EQ(pieces(10e3), 1);
  EXPECT_EQ(pieces(25e3), 2);
  team.measure_handover(1e18);  // so fast that it never does
  EXPECT_EQ(pieces(150e3), 1);
  EXPECT_EQ(pieces(250e3), 2);
  EXPECT_EQ(pieces(1e9), 16);
}

TEST(ThreadTeam, WhatMembersWroteIsSeenAfterwards) {
  ThreadTeam team(3);
  std::vector<size_t> values(257);
  for (size_t round = 1; round <= 2000; ++round) {
    team.parallel_for(values.size(), large, [&](size_t begin, size_t end, int) {
      for (size_t i = begin; i < end; ++i) values[i] += i;
    });
    ASSERT_EQ(values[256], 256 * round);
  }
  for (size_t i = 0; i < values.size(); ++i) ASSERT_EQ(values[i], 2000 * i);
}

TEST(ThreadTeam, WakesAgainAfterSleeping) {
  ThreadTeam team(2);
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    check_cover(team, 100, large);
  }
}

TEST(ThreadTeam, AnotherMemberHelpsWithLongWork) {
  ThreadTeam team(2);
  std::vector<int> items_of(2);
  team.parallel_for(100, large, [&](size_t begin, size_t end, int member) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // long enough for a busy machine
    items_of[member] += static_cast<int>(end - begin);
  });
  EXPECT_GT(items_of[0], 0);
  EXPECT_GT(items_of[1], 0);
}

// Something that takes time and cannot be left out.
uint64_t burn(uint64_t steps, uint64_t seed) {
  for (uint64_t i = 0; i < steps; ++i) seed = seed * 6364136223846793005ull + 1442695040888963407ull;
  return seed;
}

// A member that stands still is waited for and gets the caller's CPU, once and again.
TEST(ThreadTeam, AMemberThatStandsStillIsWaitedFor) {
  ThreadTeam team(3);
  std::atomic<int> slept = 0;
  std::atomic<uint64_t> sink = 0;
  for (int i = 0; i < 30; ++i) {
    std::vector<std::atomic<int>> visits(48);
    team.parallel_for(visits.size(), large, [&](size_t begin, size_t end, int member) {
      const bool sleeps = member > 0 && begin % 16 == 0;
      if (sleeps) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      slept += sleeps;
      sink += burn(20'000, begin);  // long enough for the others to come
      for (size_t item = begin; item < end; ++item) ++visits[item];
    });
    for (const std::atomic<int>& one : visits) ASSERT_EQ(one.load(), 1);
  }
  EXPECT_TRUE(slept > 0 || usable_cores() == 1);
}

// Where the caller may run on one CPU only, and where that changes while a team works.
TEST(ThreadTeam, AffinityMayChange) {
  cpu_set_t before, one;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  const auto narrow = [&] {
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
  };
  for (const bool narrow_at_start : {true, false}) {
    if (narrow_at_start) narrow();
    ThreadTeam team(2);
    for (int i = 0; i < 50; ++i) check_cover(team, 100, large);
    narrow_at_start ? void(sched_setaffinity(0, sizeof before, &before)) : narrow();
    for (int i = 0; i < 50; ++i) check_cover(team, 100, large);
    sched_setaffinity(0, sizeof before, &before);
  }
}

TEST(ThreadTeam, StartsAndStopsWithoutWork) {
  for (int i = 0; i < 50; ++i) ThreadTeam team(1 + i % 4);
}

// The best of several rounds: others may want the cores too while this runs.
double seconds_of_jobs(ThreadTeam& team) {
  std::atomic<uint64_t> sink = 0;
  double best = 1e9;
  for (int round = 0; round < 10; ++round) {
    const TimePoint start = Clock::now();
    for (int job = 0; job < 20; ++job) {
      team.parallel_for(64, large, [&](size_t begin, size_t end, int) {
        for (size_t i = begin; i < end; ++i) sink += burn(2000, i);
      });
    }
    best = std::min(best, seconds_since(start));
  }
  return best;
}

// With twice as many members as cores the work must still go on at about the same pace: spinning waits that
// hold a core which somebody else needs would cost an order of magnitude.
TEST(ThreadTeam, OversubscriptionDoesNotCollapse) {
  const int cores = usable_cores();
  ThreadTeam alone(1);
  ThreadTeam crowded(2 * cores);
  const double one = seconds_of_jobs(alone);
  const double many = seconds_of_jobs(crowded);
  EXPECT_LT(many, 3 * one) << cores << " cores: one thread " << one << " s, " << 2 * cores << " threads "
                           << many << " s";
}

}  // namespace
}  // namespace tern
