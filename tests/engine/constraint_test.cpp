#include "engine/constraint.h"

#include <gtest/gtest.h>

#include <limits>

#include "base/error.h"

namespace tern {
namespace {

using Side = ReasoningSplit::Side;
constexpr int32_t kOpen = 1, kClose = 2, kWord = 3, kOther = 4;
constexpr float kForbidden = -std::numeric_limits<float>::infinity();

/// Tags that are one token each; with `closing` as the way out of the thinking.
ReasoningFormat tags(std::vector<int32_t> closing = {kClose}) {
  ReasoningFormat format;
  format.scheme = ReasoningScheme::think_tags;
  format.open = {"<think>", kOpen};
  format.close = {"</think>", kClose};
  format.closing = std::move(closing);
  return format;
}

/// A reply that is told of its tokens as a generation tells it.
struct Reply {
  Reply(ReasoningFormat a_format, Side start, std::optional<int> limit, std::vector<int32_t> line = {})
      : format(std::move(a_format)), split(format, start), budget(format, split, limit, line) {}
  void say(int32_t token) {
    budget.accept(token);
    std::vector<ReasoningSplit::Piece> ignored;
    split.push(token, token == kOther ? "/" : "w", ignored);
  }
  std::vector<float> masked() const {
    std::vector<float> logits(4, 1.0f);
    budget.mask(logits);
    return logits;
  }
  const ReasoningFormat format;
  ReasoningSplit split;
  ThinkingBudget budget;
};

TEST(ThinkingBudget, ForcesTheCloseAtTheBudget) {
  Reply reply(tags(), Side::thinking, 2);
  EXPECT_EQ(reply.budget.forced(), std::nullopt);
  reply.say(kWord);
  EXPECT_EQ(reply.budget.forced(), std::nullopt);
  reply.say(kWord);
  EXPECT_EQ(reply.budget.forced(), kClose);
  reply.say(kClose);
  EXPECT_EQ(reply.budget.forced(), std::nullopt);
  EXPECT_FALSE(reply.split.thinking());
  EXPECT_EQ(reply.split.thought(), 2);
}

TEST(ThinkingBudget, SaysItsLineFirst) {
  Reply reply(tags(), Side::thinking, 1, {kOther, kWord});
  EXPECT_EQ(reply.budget.closing_left(), 3);
  reply.say(kWord);
  for (const int32_t due : {kOther, kWord, kClose}) {
    EXPECT_EQ(reply.budget.forced(), due);
    reply.say(due);
  }
  EXPECT_EQ(reply.budget.forced(), std::nullopt);
  EXPECT_EQ(reply.budget.closing_left(), 0);
}

TEST(ThinkingBudget, ThinkingThatNeverBeganNeedsNoLine) {
  Reply reply(tags(), Side::thinking, 0, {kOther, kWord});
  EXPECT_EQ(reply.budget.forced(), kClose);
}

TEST(ThinkingBudget, ForcesEveryTokenOfALongClose) {
  Reply reply(tags({kOther, kWord, kClose}), Side::thinking, 1);
  reply.say(kWord);
  for (const int32_t token : {kOther, kWord, kClose}) {
    EXPECT_EQ(reply.budget.forced(), token);
    reply.say(token);
  }
  EXPECT_EQ(reply.budget.forced(), std::nullopt);
  EXPECT_EQ(reply.split.side(), Side::answer);
}

TEST(ThinkingBudget, ZeroClosesAtOnce) {
  const Reply reply(tags(), Side::thinking, 0);
  EXPECT_EQ(reply.budget.forced(), kClose);
}

TEST(ThinkingBudget, NoneNeverForces) {
  Reply reply(tags(), Side::thinking, std::nullopt);
  for (int i = 0; i < 1000; ++i) reply.say(kWord);
  EXPECT_EQ(reply.budget.forced(), std::nullopt);
  EXPECT_TRUE(reply.split.thinking());
}

TEST(ThinkingBudget, ThinkingOpensOnlyByTheFirstToken) {
  Reply first(tags(), Side::unsaid, 1);
  EXPECT_EQ(first.masked(), (std::vector<float>{1, 1, 1, 1}));
  EXPECT_EQ(first.budget.forced(), std::nullopt);
  first.say(kOpen);
  EXPECT_TRUE(first.split.thinking());
  EXPECT_EQ(first.split.thought(), 0);
  first.say(kWord);
  EXPECT_EQ(first.budget.forced(), kClose);

  Reply later(tags(), Side::unsaid, std::nullopt);
  later.say(kWord);
  EXPECT_EQ(later.masked(), (std::vector<float>{1, kForbidden, 1, 1}));
}

TEST(ThinkingBudget, CannotReopen) {
  Reply closed(tags(), Side::thinking, std::nullopt);
  EXPECT_EQ(closed.masked(), (std::vector<float>{1, 1, 1, 1}));
  closed.say(kClose);
  EXPECT_EQ(closed.masked(), (std::vector<float>{1, kForbidden, 1, 1}));
  closed.say(kOpen);  // even where somebody forces it
  EXPECT_FALSE(closed.split.thinking());
  EXPECT_EQ(Reply(tags(), Side::answer, std::nullopt).masked(), (std::vector<float>{1, kForbidden, 1, 1}));
}

TEST(ThinkingBudget, NeedsMarkersOnlyWhereTheyMatter) {
  Reply plain({}, Side::unsaid, std::nullopt);
  EXPECT_EQ(plain.masked(), (std::vector<float>{1, 1, 1, 1}));
  plain.say(kOpen);
  EXPECT_FALSE(plain.split.thinking());
  EXPECT_THROW(Reply({}, Side::unsaid, 5), Error);
  EXPECT_THROW(Reply(tags({}), Side::thinking, 5), Error);
  EXPECT_THROW(Reply(tags(), Side::thinking, -1), Error);
}

}  // namespace
}  // namespace tern
