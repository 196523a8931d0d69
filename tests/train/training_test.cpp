// Training end to end on the task's examples: it learns by heart, and a resumed run is the run.
#include <gtest/gtest.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"
#include "tests/train/numerics.h"
#include "tests/train/tiny.h"
#include "text/chat.h"
#include "train/checkpoint.h"
#include "train/data.h"
#include "train/log.h"
#include "train/step.h"
#include "train/trainer.h"

namespace tern::train {
namespace {

const search::World& world() {
  static const search::World shared;
  return shared;
}

DataConfig small_data() {
  DataConfig data;
  data.tokens_per_step = 600;
  data.vocabulary_lines = 300;
  return data;
}

const Tokenizer& tokenizer() {
  static const Tokenizer shared(learn_vocabulary(world(), small_data(), 300));
  return shared;
}

TEST(Data, SequencesHoldPromptThinkingAndAnswer) {
  const search::Generator generator(world(), {search::Split::train, 1, false});
  const search::Example example = generator.at(3, 2);
  Rng rng(1);
  const std::string prompt = "<|begin|><|user|>" + example.query + "<|assistant|><think>";
  const auto text = [&](const Sequence& sequence) { return tokenizer().decode(sequence.tokens, true); };
  const auto learned = [&](const Sequence& sequence) {
    std::vector<int32_t> tokens;
    for (size_t i = 0; i < sequence.tokens.size(); ++i) {
      if (sequence.learned[i]) tokens.push_back(sequence.tokens[i]);
    }
    return tokenizer().decode(tokens, true);
  };
  const std::string answer = example.answer_text() + "<|end|>";

  const Sequence full = make_sequence(tokenizer(), example, Trace::full, rng);
  EXPECT_EQ(text(full), prompt + example.thinking_text() + "</think>" + answer);
  EXPECT_EQ(learned(full), example.thinking_text() + "</think>" + answer);

  const Sequence empty = make_sequence(tokenizer(), example, Trace::empty, rng);
  EXPECT_EQ(text(empty), prompt + "</think>" + answer);
  EXPECT_EQ(learned(empty), answer) << "a forced </think> is not learned";

  for (int i = 0; i < 50; ++i) {
    const std::string cut = text(make_sequence(tokenizer(), example, Trace::cut, rng));
    const size_t close = cut.find("</think>");
    ASSERT_NE(close, std::string::npos);
    const std::string thinking = cut.substr(prompt.size(), close - prompt.size());
    EXPECT_EQ(example.thinking_text().substr(0, thinking.size()), thinking);
    EXPECT_LT(thinking.size(), example.thinking_text().size());
    EXPECT_EQ(cut.substr(close), "</think>" + answer);
  }
}

TEST(Data, BatchesFollowEachOtherAndAreTheSameEveryTime) {
  const ExampleStream stream(world(), tokenizer(), small_data());
  const Batch first = stream.batch(0), second = stream.batch(first.next_index);
  EXPECT_GT(first.sequences(), 2);
  EXPECT_LE(first.tokens.size(), 600u);
  EXPECT_GT(second.next_index, first.next_index);
  EXPECT_NE(first.tokens, second.tokens);
  EXPECT_EQ(stream.batch(first.next_index).tokens, second.tokens);
  for (size_t i = 0; i < first.rows.size(); ++i) EXPECT_EQ(first.tokens[first.rows[i] + 1], first.targets[i]);

  Prefetch prefetch(stream, 0);
  EXPECT_EQ(prefetch.next().tokens, first.tokens);
  EXPECT_EQ(prefetch.next().tokens, second.tokens);
}

TEST(Training, OverfitsThirtyTwoExamples) {
  const search::Generator generator(world(), {search::Split::train, 1, false});
  Batch batch;
  batch.starts.push_back(0);
  Rng rng(1);
  for (uint64_t i = 0; i < 32; ++i) {
    const Sequence sequence = make_sequence(tokenizer(), generator.at(i, 1), Trace::full, rng);
    const auto at = static_cast<int64_t>(batch.tokens.size());
    for (size_t t = 0; t < sequence.tokens.size(); ++t) {
      batch.tokens.push_back(sequence.tokens[t]);
      if (t + 1 < sequence.tokens.size() && sequence.learned[t + 1]) {
        batch.rows.push_back(at + static_cast<int64_t>(t));
        batch.targets.push_back(sequence.tokens[t + 1]);
      }
    }
    batch.starts.push_back(static_cast<int64_t>(batch.tokens.size()));
  }
  ModelConfig config = tiny_deepseek();
  config.hidden = 64;
  const auto network = make_network(config, at::TensorOptions(at::kFloat), 1);
  OptimizerConfig options;
  options.weight_decay = 0;
  AdamW optimizer(network->parameters(), options);
  Stepper stepper(*network, 2);
  double loss = 10;
  int step = 0;
  for (; step < 400 && loss >= 0.05; ++step) {
    loss = stepper.accumulate(batch);
    optimizer.step(std::min(1.0, (step + 1) / 20.0) * 5e-3);
    network->balance(stepper.take_load(), 1e-3);
  }
  EXPECT_LT(loss, 0.05) << "after " << step << " steps";
}

struct Trained {
  std::unique_ptr<Network> network;
  std::unique_ptr<AdamW> optimizer;
  std::unique_ptr<Stepper> stepper;
  RunState state;
};

Trained fresh(uint64_t seed) {
  Trained run;
  run.network = make_network(tiny_deepseek(), at::TensorOptions(at::kFloat), seed);
  run.optimizer = std::make_unique<AdamW>(run.network->parameters(), OptimizerConfig{});
  run.stepper = std::make_unique<Stepper>(*run.network, 2);
  return run;
}

void train_steps(Trained& run, const ExampleStream& stream, int steps) {
  for (int i = 0; i < steps; ++i) {
    const Batch batch = stream.batch(run.state.next_index);
    run.stepper->accumulate(batch);
    run.optimizer->step(1e-3);
    run.network->balance(run.stepper->take_load(), 1e-2);
    run.state.next_index = batch.next_index;
    ++run.state.step;
  }
}

TEST(Checkpoint, AResumedRunIsTheRunBitForBit) {
  const TemporaryFolder folder;
  const ExampleStream stream(world(), tokenizer(), small_data());
  Trained whole = fresh(1);
  train_steps(whole, stream, 3);
  save_checkpoint(folder / "c.safetensors", *whole.network, *whole.optimizer, whole.state);
  train_steps(whole, stream, 3);

  Trained resumed = fresh(2);  // another seed: everything must come from the file
  resumed.state = load_checkpoint(folder / "c.safetensors", *resumed.network, *resumed.optimizer);
  EXPECT_EQ(resumed.state.step, 3);
  train_steps(resumed, stream, 3);
  for (size_t group = 0; group < 2; ++group) {
    EXPECT_TRUE(at::equal(resumed.network->parameters().values()[group],
                          whole.network->parameters().values()[group]));
    EXPECT_TRUE(at::equal(resumed.optimizer->second()[group], whole.optimizer->second()[group]));
  }
  for (size_t i = 0; i < whole.network->buffers().size(); ++i) {
    EXPECT_TRUE(at::equal(resumed.network->buffers()[i].second, whole.network->buffers()[i].second));
  }
}

TEST(Checkpoint, OfAnotherModelIsRefusedByName) {
  const TemporaryFolder folder;
  Trained run = fresh(1);
  save_checkpoint(folder / "c.safetensors", *run.network, *run.optimizer, run.state);
  ModelConfig other = tiny_deepseek();
  other.hidden = 64;
  const auto network = make_network(other, at::TensorOptions(at::kFloat), 1);
  AdamW optimizer(network->parameters(), OptimizerConfig{});
  expect_error(ErrorKind::bad_input, {"c.safetensors", "matrices.value"},
               [&] { load_checkpoint(folder / "c.safetensors", *network, optimizer); });
}

TEST(Run, LeavesAModelALogAndACurveAndRefusesToStartOver) {
  const TemporaryFolder folder;
  Config config;
  config.model = tiny_deepseek();
  config.data = small_data();
  config.run.steps = 4;
  config.run.log_every = 2;
  config.run.probe_examples = 8;
  TrainerOptions options;
  options.out = folder / "run";
  train_search(config, options);
  for (const char* name : {"model.gguf", "hf/config.json", "hf/model.safetensors", "hf/tokenizer.json",
                           "loss.svg", "log.jsonl", "checkpoint.safetensors"}) {
    EXPECT_TRUE(std::filesystem::exists(options.out + "/" + name)) << name;
  }
  expect_error(ErrorKind::bad_input, {"--resume", options.out}, [&] { train_search(config, options); });

  // Resumed with more steps it goes on where it stood, and its log has each step once.
  config.run.steps = 6;
  options.resume = true;
  train_search(config, options);
  std::string expected;
  for (int step : {2, 4, 4, 6, 6})
    expected += fmt::format("{} ", step);  // a probe follows the last of each run
  std::string found;
  const std::string log = read_file(options.out + "/log.jsonl");
  for (size_t at = log.find("\"step\":"); at != std::string::npos; at = log.find("\"step\":", at + 1)) {
    found += fmt::format("{} ", std::stoi(log.substr(at + 7)));
  }
  EXPECT_EQ(found, expected);
}

Config tiny_run() {
  Config config;
  config.model = tiny_deepseek();
  config.data = small_data();
  config.run.steps = 1;
  config.run.probe_examples = 4;
  return config;
}

TEST(Run, KeepsItsModelDataAndSeedAndWritesItsConfig) {
  const TemporaryFolder folder;
  TrainerOptions options;
  options.out = folder / "run";
  std::filesystem::create_directories(options.out);
  write_file(options.out + "/vocabulary.gguf", "left by a run that was killed before its first checkpoint");
  train_search(tiny_run(), options);
  const std::string written = read_file(options.out + "/config.toml");
  EXPECT_EQ(written, config_text(tiny_run()));

  options.resume = true;
  const auto refused = [&](std::initializer_list<std::string_view> mentions, auto&& change) {
    Config config = tiny_run();
    config.run.steps = 2;
    change(config);
    expect_error(ErrorKind::bad_input, mentions, [&] { train_search(config, options); });
  };
  refused({"model.hidden = 32", "64"}, [](Config& config) { config.model.hidden = 64; });
  refused({"model.family", "llama"}, [](Config& config) { config.model.family = Family::llama; });
  refused({"data.seed = 1", "2"}, [](Config& config) { config.data.seed = 2; });
  refused({"data.noise", "0.5"}, [](Config& config) { config.data.noise[0] = 0.5; });
  refused({"run.seed = 1", "7"}, [](Config& config) { config.run.seed = 7; });
  EXPECT_EQ(read_file(options.out + "/config.toml"), written) << "what is refused leaves no trace";

  Config longer = tiny_run();
  longer.run.steps = 2;
  longer.optimizer.learning_rate = 1e-3;
  train_search(longer, options);
  const Config last = load_config(options.out + "/config.toml");
  EXPECT_EQ(last.run.steps, 2);
  EXPECT_EQ(last.optimizer.learning_rate, 1e-3);
}

TEST(Run, LogsEveryStepOfACheckpointBeforeIt) {
  const TemporaryFolder folder;
  Config config = tiny_run();
  config.run.steps = 3;
  config.run.log_every = 2;
  config.run.checkpoint_minutes = 0;  // after every step
  TrainerOptions options;
  options.out = folder / "run";
  train_search(config, options);
  const std::string log = read_file(options.out + "/log.jsonl");
  for (int step : {1, 2, 3}) {
    EXPECT_NE(log.find(fmt::format("{{\"step\":{},", step)), std::string::npos) << "no line of step " << step;
  }
}

TEST(Log, DropsWhatCameAfterTheCheckpoint) {
  const TemporaryFolder folder;
  write_file(folder / "log.jsonl", "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n{\"st");
  { RunLog log(folder / "log.jsonl", 2); }
  EXPECT_EQ(read_file(folder / "log.jsonl"), "{\"step\":1}\n{\"step\":2}\n");
}

TEST(Log, CurveHasALineForEachSeries) {
  const std::string svg = loss_curve_svg(
      "{\"tokens\":10,\"loss\":2.0}\n{\"tokens\":20,\"loss\":1.0}\n"
      "{\"tokens\":20,\"dev_loss\":1.5,\"dev_exact_thinking\":0.5}\n",
      "a run");
  EXPECT_NE(svg.find("a run"), std::string::npos);
  size_t lines = 0;
  for (size_t at = svg.find("<polyline"); at != std::string::npos; at = svg.find("<polyline", at + 1))
    ++lines;
  EXPECT_EQ(lines, 3u);
  EXPECT_NE(svg.find("660.0,190.0"), std::string::npos) << "half of the answers exact, at the right end";
}

}  // namespace
}  // namespace tern::train
