#include "measure/eval_search.h"

#include <gtest/gtest.h>

#include <map>

#include "tasks/search/world.h"
#include "tests/engine/fakes.h"

namespace tern {
namespace {

/// 256 bytes and the six special tokens.
Tokenizer small_tokenizer() {
  return Tokenizer(tern_vocabulary({}, 262));
}

/// Says what it was told to say after each prompt, whoever shares the batch.
class Parrot {
 public:
  explicit Parrot(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void teach(const search::Example& example, const std::string& thinking, const std::string& answer,
             Thinking mode) {
    const std::array<ChatMessage, 1> messages{{{"user", example.query}}};
    std::vector<int32_t> reply;
    if (mode == Thinking::on) {
      reply = tokenizer_.encode(thinking);
      reply.push_back(*thinking_tokens(tokenizer_).close);
    }
    for (const int32_t id : tokenizer_.encode(answer)) reply.push_back(id);
    reply.push_back(*tokenizer_.vocabulary().eos);
    replies_[render_chat(tokenizer_, messages, mode)] = reply;
  }

  fake::Script script() const {
    return [replies = replies_](std::span<const int32_t> prefix, std::span<float> logits) {
      std::fill(logits.begin(), logits.end(), -50.0f);
      for (const auto& [prompt, reply] : replies) {
        if (prefix.size() < prompt.size() || prefix.size() - prompt.size() >= reply.size()) continue;
        if (std::equal(prompt.begin(), prompt.end(), prefix.begin()))
          logits[reply[prefix.size() - prompt.size()]] = 0;
      }
    };
  }

 private:
  const Tokenizer& tokenizer_;
  std::map<std::vector<int32_t>, std::vector<int32_t>> replies_;
};

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
  int last = 0;
  const SearchReport report =
      evaluate_search(engine, world, examples, options, [&](int done, int all) { last = done * 1000 + all; });
  const int all = static_cast<int>(examples.seen.size() + examples.unseen.size());
  EXPECT_EQ(last, all * 1000 + all);
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
