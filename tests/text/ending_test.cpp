#include "text/ending.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "base/rng.h"

namespace tern {
namespace {

EndingWatch watch(std::string_view text) {
  EndingWatch ending;
  ending.push(text);
  return ending;
}

TEST(Ending, KnowsWhereASentenceEnds) {
  for (const char* text : {"It is red.", "Really?", "Yes! ", "He said \"no.\"", "(So it is.)", "**Done.**",
                           "これです。", "Wait…", "- a point\n", "First.\n\nSecond."})
    EXPECT_TRUE(watch(text).behind_sentence()) << text;
  for (const char* text :
       {"", "It is", "It is red. And", "about 3.", "3.14", "a, ", "\"quoted\"", "```\ncode.\n", "。x"})
    EXPECT_FALSE(watch(text).behind_sentence()) << text;
  EXPECT_TRUE(watch("```\ncode\n```\n").behind_sentence());
}

TEST(Ending, LongWhiteSpaceHidesNoSentence) {
  EXPECT_TRUE(watch("So it is." + std::string(1000, ' ')).behind_sentence());
  EXPECT_FALSE(watch("So it" + std::string(1000, ' ')).behind_sentence());
  EXPECT_TRUE(watch("So it" + std::string(1000, '\n')).behind_sentence());
}

TEST(Ending, KnowsAWholeJsonValue) {
  for (const char* text : {"{}", " {\"a\": [1, {\"b\": \"}\"}]}\n", "[1, 2]", R"({"a": "\"}"})"})
    EXPECT_TRUE(watch(text).whole_json()) << text;
  for (const char* text : {"", "{", "{\"a\": \"}", "[1, {\"b\": 2}", "{} and", "true", R"({"a\"}": )"})
    EXPECT_FALSE(watch(text).whole_json()) << text;
  EXPECT_FALSE(watch("{\"a\": \"It is.").behind_sentence());
}

/// However it is cut, and at every place of it, as the JSON library has it.
TEST(Ending, EveryPrefixOfJsonIsJudgedAsAParserDoes) {
  const std::string text =
      nlohmann::json{{"ids", {1, 2, 3}}, {"text", "a \"quoted\" {word}\\"}, {"none", nullptr}}.dump(1);
  EndingWatch ending;
  for (size_t i = 0; i < text.size(); ++i) {
    ending.push(text.substr(i, 1));
    EXPECT_EQ(ending.whole_json(), nlohmann::json::accept(text.substr(0, i + 1))) << i;
  }
}

TEST(Ending, CutsChangeNothing) {
  Rng rng(5);
  const std::string_view alphabet[] = {"a", ".", " ", "\n", "\"", "`", "```", "3", "。", "{", "}", "?"};
  for (int round = 0; round < 500; ++round) {
    std::string text;
    EndingWatch pieces;
    for (int i = 0; i < 60; ++i) {
      const std::string_view piece = alphabet[rng.below(std::size(alphabet))];
      text += piece;
      pieces.push(piece);
      ASSERT_EQ(pieces.behind_sentence(), watch(text).behind_sentence()) << text;
      ASSERT_EQ(pieces.whole_json(), watch(text).whole_json()) << text;
    }
  }
}

}  // namespace
}  // namespace tern
