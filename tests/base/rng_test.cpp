#include "base/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <set>
#include <vector>

namespace tern {
namespace {

TEST(Rng, SplitmixMatchesThePublishedSequence) {
  // The test vector of the Java and C reference for seed 1234567.
  uint64_t state = 1234567;
  EXPECT_EQ(splitmix64(state), 6457827717110365317u);
  EXPECT_EQ(splitmix64(state), 3203168211198807973u);
  EXPECT_EQ(splitmix64(state), 9817491932198370423u);
}

TEST(Rng, XoshiroMatchesThePublishedSequence) {
  // The first outputs of xoshiro256** from the state {1, 2, 3, 4}.
  Rng rng(0);
  rng.set_state({1, 2, 3, 4});
  EXPECT_EQ(rng.next(), 11520u);
  EXPECT_EQ(rng.next(), 0u);
  EXPECT_EQ(rng.next(), 1509978240u);
  EXPECT_EQ(rng.next(), 1215971899390074240u);
}

TEST(Rng, StateResumesTheSequence) {
  Rng rng(7);
  rng.next();
  Rng other(8);
  other.set_state(rng.state());
  for (int i = 0; i < 10; ++i) EXPECT_EQ(rng.next(), other.next());
}

TEST(Rng, ItemsAreIndependentOfEachOther) {
  std::set<uint64_t> first;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    for (uint64_t stream = 0; stream < 3; ++stream) {
      for (uint64_t index = 0; index < 100; ++index) first.insert(Rng::for_item(seed, stream, index).next());
    }
  }
  EXPECT_EQ(first.size(), 900u);
  EXPECT_EQ(Rng::for_item(1, 2, 3).next(), Rng::for_item(1, 2, 3).next());
}

TEST(Rng, RangesHoldAndAreEven) {
  Rng rng(42);
  std::vector<int> counts(7);
  for (int i = 0; i < 70'000; ++i) ++counts[rng.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);
  std::set<int64_t> seen;
  for (int i = 0; i < 1'000; ++i) seen.insert(rng.between(-2, 2));
  EXPECT_EQ(seen, (std::set<int64_t>{-2, -1, 0, 1, 2}));
  double sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    const double x = rng.uniform();
    ASSERT_GE(x, 0.0);
    ASSERT_LT(x, 1.0);
    sum += x;
  }
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

TEST(Rng, ShuffleKeepsEveryItem) {
  std::vector<int> items(100);
  std::iota(items.begin(), items.end(), 0);
  std::vector<int> shuffled = items;
  Rng rng(3);
  rng.shuffle(shuffled);
  EXPECT_NE(shuffled, items);
  std::sort(shuffled.begin(), shuffled.end());
  EXPECT_EQ(shuffled, items);
}

}  // namespace
}  // namespace tern
