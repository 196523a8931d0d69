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
