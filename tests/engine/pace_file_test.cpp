#include "engine/pace_file.h"

#include <gtest/gtest.h>

#include "base/atomic_file.h"
#include "base/error.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

constexpr Pace::Costs kCosts = {0.002, 1e-5, 2e-4, 3e-6, -4e-9, 5e-9};

TEST(PaceFile, KeepsTheCosts) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.pace.json";
  EXPECT_EQ(read_pace(path, "here"), std::nullopt);
  write_pace(path, "here", kCosts);
  EXPECT_EQ(read_pace(path, "here"), kCosts);
  EXPECT_EQ(read_pace(path, "on another machine"), std::nullopt);
}

TEST(PaceFile, WhatIsBrokenIsSaid) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.pace.json";
  write_pace(path, "here", kCosts);
  const std::string whole = read_file(path);
  for (size_t size = 0; size < whole.size() - 2; ++size) {
    write_file(path, whole.substr(0, size));
    EXPECT_THROW(read_pace(path, "here"), Error) << size;
  }
  for (const char* text : {"[]", R"({"version": 1, "conditions": "here"})",
                           R"({"version": 1, "conditions": "here", "seconds": {"pass": "1"}})",
                           R"({"version": 1, "conditions": "here", "seconds": {"pass": 1e300}})"}) {
    write_file(path, text);
    EXPECT_THROW(read_pace(path, "here"), Error) << text;
  }
  write_file(path, R"({"version": 2})");
  EXPECT_EQ(read_pace(path, "here"), std::nullopt);
  write_file(path, std::string(1 << 17, ' '));
  EXPECT_THROW(read_pace(path, "here"), Error);
}

}  // namespace
}  // namespace tern
