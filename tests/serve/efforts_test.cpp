#include "serve/efforts.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace tern {
namespace {

TEST(Efforts, AreReadOverTheDefaults) {
  EXPECT_EQ(parse_effort_budgets("low=256,high=none"),
            (EffortBudgets{{Effort::low, 256}, {Effort::high, std::nullopt}}));
  EXPECT_EQ(parse_effort_budgets("medium=0", {{Effort::low, 5}, {Effort::medium, 7}}),
            (EffortBudgets{{Effort::low, 5}, {Effort::medium, 0}}));
  EXPECT_TRUE(parse_effort_budgets("").empty());
}

TEST(Efforts, WhatIsWrongIsShown) {
  for (const char* wrong : {"low", "low=", "low=-1", "low=1.5", "low=2147483648", "none=3", "extreme=3", "=3",
                            "low=3,,high=4", "low=3 ", "LOW=3", ","}) {
    EXPECT_THROW(parse_effort_budgets(wrong), Error) << wrong;
  }
}

TEST(Efforts, MoreEffortIsNeverLess) {
  for (const EffortBudgets& budgets : {long_thinkers(), short_thinkers()}) {
    int last = 0;
    for (const Effort effort : {Effort::minimal, Effort::low, Effort::medium, Effort::high, Effort::xhigh}) {
      const auto found = budgets.find(effort);
      const int tokens = found != budgets.end() && found->second ? *found->second : 1 << 30;
      EXPECT_GE(tokens, last);
      last = tokens;
    }
  }
}

}  // namespace
}  // namespace tern
