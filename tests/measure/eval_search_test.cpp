#include "measure/eval_search.h"

#include <gtest/gtest.h>

#include "tasks/search/examples_io.h"
#include "tasks/search/world.h"
#include "tests/measure/parrot.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

/// The share never falls, stands at half when all is answered, and each judged answer is told of.
void expect_steady(const std::vector<SearchProgress>& steps, int all) {
  double share = 0;
  int judged = 0;
  for (const SearchProgress& at : steps) {
    EXPECT_EQ(at.all, all);
    EXPECT_GE(at.share(), share);
    share = at.share();
    if (at.judged == 0) {
      EXPECT_LE(share, 0.5);
      continue;
    }
    EXPECT_EQ(at.answered, all);
    EXPECT_EQ(at.judged, ++judged);
  }
  EXPECT_EQ(judged, all);
  EXPECT_EQ(share, 1);
}

SearchReport evaluate(const search::World& world, const SearchEvalOptions& options, bool honest) {
  const SearchExamples examples = make_search_examples(world, options);
  const Tokenizer tokenizer = small_tokenizer();
  Parrot parrot(tokenizer);
  for (const auto* part : {&examples.seen, &examples.unseen}) {
    for (const search::Example& example : *part) {
      const std::string answer =
          honest ? example.answer_text() : R"({"intent":"find","brands":["nosuchbrandatall"]})";
      parrot.teach(example, example.thinking_text(), answer, options.thinking);
    }
  }
  auto model = std::make_unique<fake::FakeModel>(parrot.script(), 1024);
  model->change_shape().vocab = tokenizer.size();
  Engine engine(std::move(model), small_tokenizer(), EngineOptions{});
  std::vector<SearchProgress> steps;
  const SearchReport report = evaluate_search(engine, world, examples, options,
                                              [&](const SearchProgress& at) { steps.push_back(at); });
  expect_steady(steps, static_cast<int>(examples.seen.size() + examples.unseen.size()));
  return report;
}

const search::World& world() {
  static const search::World instance;
  return instance;
}

TEST(EvalSearch, ATruthfulModelScoresAll) {
  const SearchReport report = evaluate(world(), {.count = 40}, true);
  const search::Scores scores = report.seen.model.overall();
  EXPECT_EQ(scores.count, 40);
  EXPECT_EQ(scores.exact_match, 1);
  EXPECT_EQ(scores.slot_f1, 1);
  EXPECT_EQ(scores.invented_rate, 0);
  EXPECT_EQ(scores.process_accuracy, 1);
  EXPECT_GT(scores.thinking_tokens, 10);
  EXPECT_EQ(report.unseen.model.overall().exact_match, 1);
  EXPECT_GT(report.unseen.model.overall().count, 0);
  EXPECT_EQ(report.seen.model.at_noise(2).count, 10);
}

TEST(EvalSearch, AnInventedBrandIsCountedWithoutRepair) {
  const SearchReport report = evaluate(world(), {.count = 24}, false);
  EXPECT_EQ(report.seen.model.overall().invented_rate, 1);
  EXPECT_EQ(report.seen.model.overall().exact_match, 0);
  EXPECT_EQ(report.seen.baseline.overall().count, 24);
}

TEST(EvalSearch, ExamplesReadFromAFileAreSplitAsTheyWereMade) {
  const SearchExamples made = make_search_examples(world(), {.count = 40});
  std::vector<search::Example> all = made.unseen;  // in any order
  all.insert(all.end(), made.seen.begin(), made.seen.end());
  const TemporaryFolder folder;
  const std::string path = folder / "examples.jsonl";
  search::write_examples(path, all);
  const SearchExamples back = split_search_examples(search::read_examples(path));
  const auto expect_same = [](const auto& found, const auto& expected) {
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i)
      EXPECT_EQ(search::example_line(found[i]), search::example_line(expected[i]));
  };
  EXPECT_FALSE(made.unseen.empty());
  expect_same(back.seen, made.seen);
  expect_same(back.unseen, made.unseen);
}

TEST(EvalSearch, WithoutThinkingNoTokensAreSpentOnIt) {
  const SearchReport report = evaluate(world(), {.count = 8, .thinking = Thinking::off}, true);
  EXPECT_EQ(report.seen.model.overall().thinking_tokens, 0);
  EXPECT_EQ(report.seen.model.overall().exact_match, 1);
}

TEST(EvalSearch, JsonHasTheKeysThatScriptsRead) {
  const auto json = to_json(evaluate(world(), {.count = 16}, true));
  for (const char* key :
       {"exact_match", "slot_f1", "intent_accuracy", "oos_recall", "invented_rate", "thinking_tokens"}) {
    for (const auto* part : {&json, &json["unseen_noise"], &json["baseline"], &json["ceiling"]}) {
      EXPECT_TRUE(part->contains(key)) << key;
    }
    EXPECT_TRUE(json["by_noise"]["0"].contains(key)) << key;
  }
}

}  // namespace
}  // namespace tern
