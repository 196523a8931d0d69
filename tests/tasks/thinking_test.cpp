#include "tasks/search/thinking.h"

#include <gtest/gtest.h>

#include "tasks/search/search.h"

namespace tern::search {
namespace {

const World& world() {
  static const World the_world;
  return the_world;
}

TEST(Thinking, PassesItsOwnCheck) {
  const Generator generator(world(), {Split::dev, 1, false});
  for (uint64_t i = 0; i < 2000; ++i) {
    const auto example = generator.at(i, static_cast<int>(i % 4));
    ASSERT_EQ(example.thinking.size(), 4u);
    ASSERT_EQ(check_thinking(example, example.thinking_text()).accuracy(), 1.0) << example.thinking_text();
    ASSERT_EQ(check_thinking(example, "\n" + example.thinking_text() + "\n").accuracy(), 1.0);
  }
}

TEST(Thinking, EachAlteredStepFailsAlone) {
  const Generator generator(world(), {Split::dev, 1, false});
  for (uint64_t i = 0; i < 500; ++i) {
    const auto example = generator.at(i, 1);
    for (size_t altered = 0; altered < 4; ++altered) {
      for (const char* tail : {" red", "x"}) {
        Example changed = example;
        changed.thinking[altered] += tail;
        const auto check = check_thinking(example, changed.thinking_text());
        for (size_t step = 0; step < 4; ++step) ASSERT_EQ(check.right[step], step != altered);
      }
    }
  }
}

TEST(Thinking, MissingAndExtraLinesAreWrong) {
  const auto example = Generator(world(), {Split::dev, 1, false}).at(0, 0);
  EXPECT_EQ(check_thinking(example, "").accuracy(), 0.0);
  EXPECT_EQ(check_thinking(example, example.thinking[0]).accuracy(), 0.25);
  EXPECT_EQ(check_thinking(example, example.thinking_text() + "\nmore").accuracy(), 0.75);
}

}  // namespace
}  // namespace tern::search
