#include "train/config.h"

#include <gtest/gtest.h>

#include "tests/expect_error.h"
#include "train/schedule.h"

namespace tern::train {
namespace {

TEST(Config, ReadsEveryCommittedFile) {
  const Config search = load_config(TERN_SOURCE_DIR "/configs/search.toml");
  EXPECT_EQ(search.model.family, Family::deepseek);
  EXPECT_GT(search.run.minutes, 0);
  const Config dense = load_config(TERN_SOURCE_DIR "/configs/search-dense.toml");
  EXPECT_EQ(dense.model.family, Family::llama);
}

TEST(Config, TakesNumbersListsAndText) {
  const Config config = parse_config(R"(name = "a"
[model]
hidden = 64
[data]
noise = [1, 0, 0.5, 0, 0]
[optimizer]
learning_rate = 1e-3
[run]
steps = 5)",
                                     "c.toml");
  EXPECT_EQ(config.name, "a");
  EXPECT_EQ(config.model.hidden, 64);
  EXPECT_EQ(config.data.noise[2], 0.5);
  EXPECT_EQ(config.optimizer.learning_rate, 1e-3);
  EXPECT_EQ(config.run.steps, 5);
}

TEST(Config, WrittenAndReadBackIsTheSame) {
  Config changed;
  changed.name = "a \"quoted\"\nname \\ ";
  changed.model.tied = true;
  changed.model.norm_eps = 1e-12;
  changed.data.seed = INT64_MAX;
  changed.data.noise = {0.1, 1e6, 0, 1e-9, 1};
  changed.run.minutes = 1e6;
  changed.run.export_type = "F16";
  for (const Config& config : {changed, load_config(TERN_SOURCE_DIR "/configs/search.toml"),
                               load_config(TERN_SOURCE_DIR "/configs/search-dense.toml")}) {
    const std::string text = config_text(config);
    const Config again = parse_config(text, "again.toml");
    EXPECT_EQ(config_text(again), text);
    EXPECT_EQ(again.name, config.name);
    EXPECT_EQ(again.model.family, config.model.family);
    EXPECT_EQ(again.model.tied, config.model.tied);
    EXPECT_EQ(again.model.norm_eps, config.model.norm_eps);
    EXPECT_EQ(again.data.seed, config.data.seed);
    EXPECT_EQ(again.data.noise, config.data.noise);
    EXPECT_EQ(again.optimizer.learning_rate, config.optimizer.learning_rate);
    EXPECT_EQ(again.run.minutes, config.run.minutes);
    EXPECT_EQ(again.run.export_type, config.run.export_type);
  }
}

TEST(Config, RefusesByNameAndLine) {
  const auto refused = [](const char* text, std::initializer_list<std::string_view> mentions) {
    expect_error(ErrorKind::bad_input, mentions, [&] { parse_config(text, "c.toml"); });
  };
  refused("[model]\nhiden = 3\n[run]\nsteps = 1", {"c.toml:2", "hiden"});
  refused("colour = 3", {"c.toml:1", "colour"});
  refused("[run]\nsteps = \"many\"", {"c.toml:2", "steps", "whole number"});
  refused("[run]\nsteps = -1", {"c.toml:2", "steps", "-1"});
  refused("[optimizer]\nlearning_rate = nan\n[run]\nsteps = 1", {"learning_rate"});
  refused("[data]\nnoise = [1, 2]\n[run]\nsteps = 1", {"noise", "five"});
  refused("[model]\nfamily = \"rnn\"\n[run]\nsteps = 1", {"rnn", "deepseek"});
  refused("[model]\nfamily = \"llama\"\nexperts = 4\n[run]\nsteps = 1", {"experts"});
  refused("[model]\nexperts = 4\nexperts_used = 5\n[run]\nsteps = 1", {"experts_used = 5", "experts = 4"});
  refused("[model]\nrope_dim = 7\n[run]\nsteps = 1", {"rope_dim = 7", "even"});
  refused("[model]\ncontext = 64\n[data]\nmax_tokens = 65\n[run]\nsteps = 1",
          {"max_tokens = 65", "context = 64"});
  refused("model = 3", {"model", "table"});
  refused("[model", {"c.toml:1"});
  refused("name = \"x\"", {"steps or minutes"});
}

TEST(Schedule, WarmsUpThenFallsAlongACosine) {
  OptimizerConfig optimizer;
  optimizer.learning_rate = 2;
  optimizer.warmup = 0.1;
  optimizer.final_ratio = 0.1;
  EXPECT_GT(learning_rate(optimizer, 0), 0);
  EXPECT_NEAR(learning_rate(optimizer, 0.05), 1, 1e-9);
  EXPECT_NEAR(learning_rate(optimizer, 0.1), 2, 1e-9);
  EXPECT_NEAR(learning_rate(optimizer, 0.55), 2 * (0.1 + 0.9 * 0.5), 1e-9);
  EXPECT_NEAR(learning_rate(optimizer, 1), 0.2, 1e-9);
}

TEST(Schedule, TheFirstLimitReachedEndsTheRun) {
  RunConfig run;
  run.steps = 100;
  EXPECT_EQ(run_progress(run, 50, 1e9), 0.5);
  run.minutes = 1;
  EXPECT_EQ(run_progress(run, 50, 45), 0.75);
  EXPECT_EQ(run_progress(run, 100, 0), 1);
  EXPECT_EQ(run_progress(run, 0, 90), 1);
}

}  // namespace
}  // namespace tern::train
