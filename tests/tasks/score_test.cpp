#include "tasks/search/score.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace tern::search {
namespace {

Example example_of(Answer answer) {
  Example example;
  example.answer = std::move(answer);
  example.thinking = {"a", "b", "c", "d"};
  return example;
}

Reply reply_of(std::string answer) {
  return {.thinking = "", .answer = std::move(answer)};
}

const Example red_sneaker = example_of({.types = {"sneaker"}, .colours = {"red"}, .max_price = 6000});

TEST(Score, TheTruthScoresFully) {
  const auto score = score_item(red_sneaker, reply_of(red_sneaker.answer_text()), {});
  EXPECT_TRUE(score.exact);
  EXPECT_TRUE(score.intent_right);
  EXPECT_EQ(score.slots_right, 3);
  EXPECT_EQ(score.slots_wrong + score.slots_missed, 0);
  EXPECT_TRUE(score.invented.empty());
  EXPECT_FALSE(score.process);
}

TEST(Score, SlotsAreCountedOneByOne) {
  const auto score = score_item(
      red_sneaker, reply_of("{\"intent\":\"find\",\"types\":[\"boot\"],\"colours\":[\"red\"]}"), {});
  EXPECT_FALSE(score.exact);
  EXPECT_EQ(score.slots_right, 1);
  EXPECT_EQ(score.slots_wrong, 1);
  EXPECT_EQ(score.slots_missed, 2);
}

TEST(Score, InventedIsWhatNoReadingSupports) {
  const auto reply = reply_of(
      "{\"intent\":\"find\",\"types\":[\"boot\"],\"brands\":[\"velorix\"],\"sort\":\"cheap\",\"max\":7}");
  EXPECT_EQ(score_item(red_sneaker, reply, {}).invented,
            (std::vector<std::string>{"brands:velorix", "sort:cheap", "types:boot"}));
  EXPECT_EQ(score_item(red_sneaker, reply, {"types:boot", "sort:cheap"}).invented,
            (std::vector<std::string>{"brands:velorix"}));
  // An identifier of another key is not support.
  EXPECT_EQ(score_item(red_sneaker, reply, {"colours:boot", "sort:cheap", "brands:velorix"}).invented,
            (std::vector<std::string>{"types:boot"}));
}

TEST(Score, BrokenAnswersAreWrongAndStillChecked) {
  const auto score = score_item(
      red_sneaker, reply_of("{\"intent\":\"find\",\"types\":[\"sneaker\"],\"brands\":[\"velorix\",\"cut of"),
      {});
  EXPECT_FALSE(score.exact);
  EXPECT_FALSE(score.intent_right);
  EXPECT_EQ(score.slots_right, 0);
  EXPECT_EQ(score.slots_missed, 3);
  EXPECT_EQ(score.invented, std::vector<std::string>{"velorix"});
  EXPECT_TRUE(
      score_item(red_sneaker, reply_of("{\"intent\":\"find\",\"colours\":[\"red\"]"), {}).invented.empty());
  EXPECT_TRUE(score_item(red_sneaker, reply_of(""), {}).invented.empty());
}

TEST(Score, OutOfScopeMustBeRecognised) {
  const auto off_topic = example_of({.intent = Intent::off_topic});
  const auto unknown = example_of({.types = {"boot"}, .note = "unknown:brand"});
  const auto recognised = [&](const Example& example, const char* answer) {
    const auto score = score_item(example, reply_of(answer), {});
    EXPECT_TRUE(score.out_of_scope);
    return score.recognised;
  };
  EXPECT_TRUE(recognised(off_topic, "{\"intent\":\"off_topic\"}"));
  EXPECT_FALSE(recognised(off_topic, "{\"intent\":\"find\"}"));
  EXPECT_TRUE(recognised(unknown, "{\"intent\":\"find\",\"note\":\"unknown:brand\"}"));
  EXPECT_FALSE(recognised(unknown, "{\"intent\":\"off_topic\"}"));
  EXPECT_FALSE(recognised(unknown, "nonsense"));
  EXPECT_FALSE(score_item(red_sneaker, reply_of("{\"intent\":\"off_topic\"}"), {}).out_of_scope);
}

TEST(Score, SumsAreRates) {
  ScoreTable table;
  const auto add = [&](int noise, const Example& example, Reply reply) {
    table.add(noise, score_item(example, reply, {}));
  };
  add(0, red_sneaker, {"a\nb\nc\nx", red_sneaker.answer_text(), 10, 20});
  add(2, red_sneaker, {"", "{\"intent\":\"find\",\"types\":[\"boot\"]}", 0, 10});
  add(2, example_of({.intent = Intent::off_topic}), {"", "{\"intent\":\"off_topic\"}", 2, 6});
  const Scores all = table.overall();
  EXPECT_EQ(all.count, 3);
  EXPECT_DOUBLE_EQ(all.exact_match, 2.0 / 3);
  EXPECT_DOUBLE_EQ(all.slot_f1, 2.0 * 3 / (2 * 3 + 1 + 3));
  EXPECT_DOUBLE_EQ(all.intent_accuracy, 1);
  EXPECT_DOUBLE_EQ(all.oos_recall, 1);
  EXPECT_DOUBLE_EQ(all.invented_rate, 1.0 / 3);
  EXPECT_DOUBLE_EQ(all.thinking_tokens, 4);
  EXPECT_DOUBLE_EQ(all.answer_tokens, 12);
  EXPECT_DOUBLE_EQ(all.process_accuracy, 0.75);
  EXPECT_EQ(table.at_noise(1).count, 0);
  EXPECT_DOUBLE_EQ(table.at_noise(2).exact_match, 0.5);
  const auto json = to_json(table);
  EXPECT_DOUBLE_EQ(json["exact_match"].get<double>(), 2.0 / 3);
  EXPECT_EQ(json["by_noise"].size(), 2u);
  EXPECT_EQ(json["by_noise"]["2"]["count"], 2);
  for (const char* key : {"exact_match", "slot_f1", "intent_accuracy", "oos_recall", "invented_rate",
                          "thinking_tokens", "answer_tokens", "process_accuracy"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
}

}  // namespace
}  // namespace tern::search
