#include "base/progress.h"

#include <gtest/gtest.h>

namespace tern {
namespace {

TEST(Progress, DurationsReadAsClocks) {
  EXPECT_EQ(duration_text(-1), "0 s");
  EXPECT_EQ(duration_text(59.9), "59 s");
  EXPECT_EQ(duration_text(60), "1:00");
  EXPECT_EQ(duration_text(3723), "1:02:03");
}

TEST(Progress, TimeLeftIsReckonedFromWhereTheWorkWentOn) {
  EXPECT_DOUBLE_EQ(seconds_left(10, 0, 0.25).value(), 30);
  EXPECT_DOUBLE_EQ(seconds_left(10, 0.5, 0.75).value(), 10) << "resumed in the middle";
  EXPECT_FALSE(seconds_left(10, 0, 0));
  EXPECT_FALSE(seconds_left(10, 0.5, 0.505)) << "too little to tell";
  EXPECT_FALSE(seconds_left(10, 0, 1));
}

TEST(Progress, IsSilentForWhatEndsAtOnceOffTheTerminal) {
  testing::internal::CaptureStderr();
  {
    Progress progress("work");
    progress.update(0.5, "half");
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace tern
