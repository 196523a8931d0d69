#include "tasks/search/baseline.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "tasks/search/search.h"

namespace tern::search {
namespace {

const World& world() {
  static const World the_world;
  return the_world;
}

double exact_match(const Baseline& baseline, int noise, uint64_t count) {
  const Generator generator(world(), {Split::dev, 1, false});
  double right = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const auto example = generator.at(i, noise);
    right += baseline.answer(example.query) == example.answer;
  }
  return right / static_cast<double>(count);
}

TEST(Baseline, IsNoStrawMan) {
  const Baseline baseline(world());
  double last = 1;
  for (const int noise : {0, 1, 2, 3}) {
    const double rate = exact_match(baseline, noise, 1500);
    fmt::print("noise {}: exact match {:.3f}\n", noise, rate);
    EXPECT_LT(rate, last);
    last = rate;
    EXPECT_GT(rate, 0.7 - 0.04 * noise);
  }
}

TEST(Baseline, ItsLimitsWereTunedOnDev) {
  const double tuned = exact_match(Baseline(world()), 2, 600);
  for (const BaselineOptions other :
       {BaselineOptions{6, 9, 6}, BaselineOptions{4, 7, 12}, BaselineOptions{3, 4, 6}}) {
    EXPECT_GT(tuned, exact_match(Baseline(world(), other), 2, 600));
  }
}

TEST(Baseline, ReadsPlainRequests) {
  const Baseline baseline(world());
  const auto json = [&](const char* query) { return to_json(baseline.answer(query)); };
  EXPECT_EQ(json("red leather sneakers under 60 euros"),
            "{\"intent\":\"find\",\"types\":[\"sneaker\"],\"colours\":[\"red\"],\"materials\":[\"leather\"],"
            "\"max\":6000}");
  EXPECT_EQ(json("Sofas from 100€ to $250"),
            "{\"intent\":\"find\",\"types\":[\"sofa\"],\"min\":10000,\"max\":25000}");
  EXPECT_EQ(json("return my guitar"), "{\"intent\":\"support\",\"types\":[\"guitar\"]}");
  EXPECT_EQ(json("what is the weather in rome"), "{\"intent\":\"off_topic\"}");
  EXPECT_EQ(json("keyboard"),
            "{\"intent\":\"find\",\"types\":[\"keyboard\",\"piano\"],\"note\":\"ambiguous:type\"}");
}

TEST(Baseline, AnswersAnything) {
  const Baseline baseline(world());
  for (const std::string& query :
       {std::string(), std::string("\xff\xff"), std::string(5000, 'x'), std::string(300, '9'),
        std::string("1.1.1.1 ..5 5.."), std::string("€€$ 4")}) {
    EXPECT_TRUE(parse_answer(to_json(baseline.answer(query))));
  }
}

}  // namespace
}  // namespace tern::search
