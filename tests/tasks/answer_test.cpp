#include "tasks/search/answer.h"

#include <gtest/gtest.h>

#include "tasks/search/search.h"
#include "tasks/search/world.h"

namespace tern::search {
namespace {

TEST(Answer, HasOneCompactText) {
  Answer answer;
  answer.types = {"sneaker"};
  answer.brands = {"tamira", "velora"};
  answer.colours = {"red"};
  answer.sizes = {"42"};
  answer.audience = "men";
  answer.min_price = 1000;
  answer.max_price = 4999;
  answer.sort = "cheap";
  answer.note = "ambiguous:brand";
  EXPECT_EQ(
      to_json(answer),
      "{\"intent\":\"find\",\"types\":[\"sneaker\"],\"brands\":[\"tamira\",\"velora\"],\"colours\":[\"red\"],"
      "\"sizes\":[\"42\"],\"audience\":\"men\",\"min\":1000,\"max\":4999,\"sort\":\"cheap\",\"note\":"
      "\"ambiguous:brand\"}");
  EXPECT_EQ(parse_answer(to_json(answer)), answer);
  EXPECT_EQ(to_json(Answer{}), "{\"intent\":\"find\"}");
}

TEST(Answer, EveryExampleRoundTrips) {
  const World world;
  const Generator generator(world, {});
  for (uint64_t i = 0; i < 2000; ++i) {
    const auto example = generator.at(i, 0);
    const auto parsed = parse_answer(example.answer_text());
    ASSERT_TRUE(parsed) << example.answer_text();
    ASSERT_EQ(*parsed, example.answer);
    ASSERT_EQ(to_json(*parsed), example.answer_text());
  }
}

TEST(Answer, OtherOrdersReadAlikeAndWriteCanonically) {
  const auto parsed = parse_answer(" {\"max\": 5, \"brands\": [\"b\", \"a\"], \"intent\": \"compare\"} ");
  ASSERT_TRUE(parsed);
  EXPECT_EQ(to_json(*parsed), "{\"intent\":\"compare\",\"brands\":[\"a\",\"b\"],\"max\":5}");
}

TEST(Answer, RefusesWhatIsNotOne) {
  for (const char* text : {"",
                           "{",
                           "[]",
                           "null",
                           "{}",
                           "{\"intent\":\"buy\"}",
                           "{\"intent\":3}",
                           "{\"types\":[\"a\"]}",
                           "{\"intent\":\"find\",\"types\":[]}",
                           "{\"intent\":\"find\",\"types\":\"a\"}",
                           "{\"intent\":\"find\",\"types\":[3]}",
                           "{\"intent\":\"find\",\"types\":[\"a\",\"a\"]}",
                           "{\"intent\":\"find\",\"colour\":[\"red\"]}",
                           "{\"intent\":\"find\",\"max\":\"5\"}",
                           "{\"intent\":\"find\",\"max\":5.5}",
                           "{\"intent\":\"find\",\"max\":-1}",
                           "{\"intent\":\"find\",\"max\":1e400}",
                           "{\"intent\":\"find\",\"sort\":\"\"}",
                           "{\"intent\":\"find\",\"max\":5,\"max\":6}",
                           "{\"intent\":\"find\"} x",
                           "{\"intent\":\"find\"}{\"intent\":\"find\"}",
                           "{\"intent\":\"find\",\"types\":[[\"a\"]]}",
                           "{\"intent\":\"find\",\"types\":[\"\xff\"]}"}) {
    EXPECT_FALSE(parse_answer(text)) << text;
  }
  EXPECT_FALSE(parse_answer("{\"intent\":" + std::string(5000, '[')));
}

TEST(Answer, ForeignTextIsEscaped) {
  Answer answer;
  answer.sort = "a\"b\n";
  EXPECT_EQ(parse_answer(to_json(answer)), answer);
}

}  // namespace
}  // namespace tern::search
