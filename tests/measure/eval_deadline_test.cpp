#include "measure/eval_deadline.h"

#include <gtest/gtest.h>

#include <thread>

#include "tasks/search/world.h"
#include "tests/measure/parrot.h"

namespace tern {
namespace {

TEST(EvalDeadline, WhatIsLateIsWrong) {
  const search::World world;
  DeadlineEvalOptions options;
  options.queries.count = 6;
  options.deadlines_ms = {2, 20'000};
  options.budgets = {1000};
  options.tuning_queries = 3;
  const Tokenizer tokenizer = small_tokenizer();
  Parrot parrot(tokenizer);
  for (const search::Example& example : make_search_examples(world, options.queries).seen) {
    for (const Thinking thinking : {Thinking::off, Thinking::on})
      parrot.teach(example, example.thinking_text(), example.answer_text(), thinking);
  }
  auto model = std::make_unique<fake::FakeModel>(parrot.script(), 1024, 1024);
  model->change_shape().vocab = tokenizer.size();
  model->before = [](auto) { std::this_thread::sleep_for(std::chrono::microseconds(200)); };
  EngineOptions slow;
  slow.parallel = 1;
  slow.calibration_s = 0.05;
  Engine engine(std::move(model), small_tokenizer(), slow);
  double share = 0;
  const DeadlineReport report = evaluate_deadlines(engine, world, options, [&](double now) {
    EXPECT_GT(now, share);
    share = now;
  });
  EXPECT_DOUBLE_EQ(share, 1);
  EXPECT_EQ(report.queries, 6);
  EXPECT_GT(report.free_ms, report.no_thinking_ms);
  ASSERT_EQ(report.rows.size(), 2u);
  const DeadlineRow &tight = report.rows[0], &wide = report.rows[1];
  for (const double right : {tight.closed_in_time, tight.no_thinking, tight.best_budget, tight.truncated})
    EXPECT_EQ(right, 0);  // an answer of thirty bytes takes six milliseconds at least
  for (const double right : {wide.closed_in_time, wide.no_thinking, wide.best_budget, wide.truncated})
    EXPECT_DOUBLE_EQ(right, 1);
  EXPECT_EQ(tight.promised, 0);
  EXPECT_DOUBLE_EQ(wide.on_time, 1);
  EXPECT_EQ(wide.budget, 1000);
  EXPECT_GT(wide.thinking_tokens, 10);
}

}  // namespace
}  // namespace tern
