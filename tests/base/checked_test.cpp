#include "base/checked.h"

#include <gtest/gtest.h>

#include <cstdint>

#include "tests/expect_error.h"

namespace tern {
namespace {

TEST(Checked, GivesWhatFits) {
  EXPECT_EQ(checked_mul(0, UINT64_MAX, "x"), 0u);
  EXPECT_EQ(checked_mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1, "x"), UINT64_MAX - 0xffffffffu);
  EXPECT_EQ(checked_add(UINT64_MAX - 1, 1, "x"), UINT64_MAX);
  EXPECT_EQ(round_up(0, 32), 0u);
  EXPECT_EQ(round_up(1, 32), 32u);
  EXPECT_EQ(round_up(32, 32), 32u);
  EXPECT_EQ(round_up(7, 3), 9u);
}

TEST(Checked, ThrowsOnOverflowNamingTheThing) {
  expect_error(ErrorKind::limit, {"rows", "4294967296 x 4294967296"},
               [] { checked_mul(uint64_t{1} << 32, uint64_t{1} << 32, "rows"); });
  expect_error(ErrorKind::limit, {"bytes", "overflows"}, [] { checked_add(UINT64_MAX, 1, "bytes"); });
  expect_error(ErrorKind::limit, {"rounding up"}, [] { round_up(UINT64_MAX - 3, 32); });
}

TEST(Error, CarriesKindAndText) {
  expect_error(ErrorKind::unsupported, {"file.gguf: type Q9: expected one of 4"},
               [] { fail(ErrorKind::unsupported, "{}: type {}: expected one of {}", "file.gguf", "Q9", 4); });
}

}  // namespace
}  // namespace tern
