#include "engine/constraint.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"

namespace tern {
namespace {

using Side = ThinkingBudget::Side;
constexpr int32_t kOpen = 1, kClose = 2, kWord = 3;
constexpr ThinkingTokens kMarkers{kOpen, kClose};
constexpr float kForbidden = -std::numeric_limits<float>::infinity();

std::vector<float> masked(const Constraint& constraint) {
  std::vector<float> logits(4, 1.0f);
  constraint.mask(logits);
  return logits;
}

TEST(ThinkingBudget, ForcesTheCloseAtTheBudget) {
  ThinkingBudget thinking(kMarkers, Side::thinking, 2);
  EXPECT_EQ(thinking.forced(), std::nullopt);
  thinking.accept(kWord);
  EXPECT_EQ(thinking.forced(), std::nullopt);
  thinking.accept(kWord);
  EXPECT_EQ(thinking.forced(), kClose);
  thinking.accept(kClose);
  EXPECT_EQ(thinking.forced(), std::nullopt);
  EXPECT_FALSE(thinking.thinking());
  EXPECT_EQ(thinking.thought(), 2);
}

TEST(ThinkingBudget, ZeroClosesAtOnce) {
  const ThinkingBudget thinking(kMarkers, Side::thinking, 0);
  EXPECT_EQ(thinking.forced(), kClose);
}

TEST(ThinkingBudget, NoneNeverForces) {
  ThinkingBudget thinking(kMarkers, Side::thinking, std::nullopt);
  for (int i = 0; i < 1000; ++i) thinking.accept(kWord);
  EXPECT_EQ(thinking.forced(), std::nullopt);
  EXPECT_TRUE(thinking.thinking());
}

TEST(ThinkingBudget, ThinkingOpensOnlyByTheFirstToken) {
  ThinkingBudget first(kMarkers, Side::unsaid, 1);
  EXPECT_EQ(masked(first), (std::vector<float>{1, 1, 1, 1}));
  EXPECT_EQ(first.forced(), std::nullopt);
  first.accept(kOpen);
  EXPECT_TRUE(first.thinking());
  EXPECT_EQ(first.thought(), 0);
  first.accept(kWord);
  EXPECT_EQ(first.forced(), kClose);

  ThinkingBudget later(kMarkers, Side::unsaid, std::nullopt);
  later.accept(kWord);
  EXPECT_EQ(masked(later), (std::vector<float>{1, kForbidden, 1, 1}));
}

TEST(ThinkingBudget, CannotReopen) {
  ThinkingBudget closed(kMarkers, Side::thinking, std::nullopt);
  EXPECT_EQ(masked(closed), (std::vector<float>{1, 1, 1, 1}));
  closed.accept(kClose);
  EXPECT_EQ(masked(closed), (std::vector<float>{1, kForbidden, 1, 1}));
  closed.accept(kOpen);  // even where somebody forces it
  EXPECT_FALSE(closed.thinking());
  EXPECT_EQ(masked(ThinkingBudget(kMarkers, Side::answer, std::nullopt)),
            (std::vector<float>{1, kForbidden, 1, 1}));
}

TEST(ThinkingBudget, NeedsMarkersOnlyWhereTheyMatter) {
  ThinkingBudget plain({}, Side::unsaid, std::nullopt);
  EXPECT_EQ(masked(plain), (std::vector<float>{1, 1, 1, 1}));
  plain.accept(kOpen);
  EXPECT_FALSE(plain.thinking());
  EXPECT_THROW(ThinkingBudget({}, Side::thinking, std::nullopt), Error);
  EXPECT_THROW(ThinkingBudget({}, Side::unsaid, 5), Error);
  EXPECT_THROW(ThinkingBudget(kMarkers, Side::thinking, -1), Error);
}

}  // namespace
}  // namespace tern
