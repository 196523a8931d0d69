#include "measure/bench.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "measure/machine.h"
#include "tests/model/tiny_file.h"

namespace tern {
namespace {

BenchReport bench_tiny(const BenchOptions& options, std::vector<std::string>* told = nullptr) {
  const auto bytes = tiny_file({.context = 500}).bytes();
  double last = 0;
  return run_bench(GgufFile::parse(bytes, "test"), options, [&](double share, const std::string& what) {
    EXPECT_GE(share, last);
    EXPECT_LE(share, 1);
    last = share;
    if (told) told->push_back(what);
  });
}

BenchOptions small() {
  BenchOptions options;
  options.prompt = 70;
  options.generate = 5;
  options.streams = 3;
  options.rounds = 2;
  options.piece = 32;
  return options;
}

TEST(Machine, LimitsArePlausible) {
  for (const Isa isa : kAllIsas) {
    if (!isa_available(isa)) continue;
    const double peak = measure_int8_peak(kernels(isa), 1, 0.01);
    EXPECT_GT(peak, 1e7) << isa_name(isa);
    EXPECT_LT(peak, 1e14) << isa_name(isa);
  }
}

TEST(Machine, ProductsAreCounted) {
  for (const Isa isa : kAllIsas) {
    if (!isa_available(isa)) continue;
    const uint64_t one = kernels(isa).spin_products(1);
    EXPECT_GT(one, 0u);
    EXPECT_EQ(kernels(isa).spin_products(1000), 1000 * one);
  }
}

TEST(Bench, RunsPromptsAndStreamsInTurn) {
  std::vector<std::string> told;
  const BenchReport report = bench_tiny(small(), &told);
  EXPECT_EQ(told, (std::vector<std::string>{"loading", "the machine", "prompt", "decode", "prompt", "decode",
                                            "done"}));
  EXPECT_EQ(report.prompt.tokens_s.size(), 2u);
  EXPECT_EQ(report.prompt.tokens, 2u * 70);
  EXPECT_EQ(report.prompt.statistics.tokens, 2u * 70);
  EXPECT_EQ(report.prompt.statistics.passes, 2u * 3) << "70 tokens in pieces of 32";
  EXPECT_EQ(report.decode.tokens, 2u * 3 * 5);
  EXPECT_EQ(report.decode.statistics.passes, 2u * 5) << "three streams together";
  EXPECT_GT(report.decode.statistics.bytes, 0u);
  EXPECT_GT(report.decode.sampling_s, 0);
  EXPECT_LE(report.decode.statistics.stages.total() + report.decode.sampling_s, report.decode.seconds);
}

TEST(Bench, EachRoundWaitsForItsTurn) {
  std::vector<std::string> told;
  BenchOptions options = small();
  options.depth = 40;
  options.before_round = [&] { told.push_back("turn"); };
  const BenchReport report = bench_tiny(options, &told);
  EXPECT_EQ(told, (std::vector<std::string>{"loading", "the machine", "filling", "turn", "turn", "prompt",
                                            "decode", "turn", "prompt", "decode", "done"}));
  EXPECT_EQ(report.fill.tokens, 3u * 39) << "once for both rounds";
}

TEST(Bench, DepthIsNotMeasuredButRead) {
  BenchOptions options = small();
  options.prompt = 0;
  options.depth = 200;
  const BenchReport deep = bench_tiny(options);
  options.depth = 0;
  const BenchReport flat = bench_tiny(options);
  EXPECT_TRUE(deep.prompt.tokens_s.empty());
  EXPECT_EQ(deep.fill.tokens, 3u * 199);
  EXPECT_TRUE(flat.fill.tokens_s.empty());
  EXPECT_EQ(deep.decode.tokens, flat.decode.tokens);
  EXPECT_EQ(deep.decode.statistics.passes, flat.decode.statistics.passes);
  EXPECT_GT(deep.decode.statistics.bytes, flat.decode.statistics.bytes);
}

TEST(Bench, WeightsOperationsAreTwoAWeight) {
  BenchOptions options = small();
  options.rounds = 1;
  const BenchReport report = bench_tiny(options);
  const double head = double(report.model.vocab) * report.model.hidden;
  EXPECT_DOUBLE_EQ(report.decode.ops, 2.0 * double(report.model.active_weights) * 15);
  EXPECT_DOUBLE_EQ(report.prompt.ops, 2.0 * ((double(report.model.active_weights) - head) * 70 + head));
}

TEST(Bench, OptionsOutOfRangeAreRefused) {
  const auto refused = [](auto change) {
    BenchOptions options = small();
    change(options);
    EXPECT_THROW(bench_tiny(options), Error);
  };
  refused([](BenchOptions& o) { o.prompt = 501; });
  refused([](BenchOptions& o) { o.prompt = -1; });
  refused([](BenchOptions& o) { o.depth = 496; });
  refused([](BenchOptions& o) { o.generate = -1; });
  refused([](BenchOptions& o) { o.streams = 0; });
  refused([](BenchOptions& o) { o.rounds = 0; });
  refused([](BenchOptions& o) { o.piece = 0; });
}

TEST(Bench, JsonAndTextTellTheSame) {
  BenchReport report;
  report.machine = {2, Isa::scalar, 20e9, 400e9};
  report.decode.tokens_s = {30, 10, 20};
  report.decode.tokens = 60;
  report.decode.seconds = 3;
  report.decode.statistics.bytes = 45'000'000'000;
  report.decode.statistics.stages.seconds[0] = 1.5;
  report.decode.statistics.waited_s = 0.3;
  report.decode.sampling_s = 0.03;
  const auto json = to_json(report);
  EXPECT_EQ(json["tg_tps"], 20);
  EXPECT_EQ(json["pp_tps"], 0);
  EXPECT_DOUBLE_EQ(json["gbps"], 15);
  EXPECT_DOUBLE_EQ(json["bandwidth_share"], 0.75);
  EXPECT_DOUBLE_EQ(json["stages_us"]["attention"], 25000);
  EXPECT_DOUBLE_EQ(json["stages_us"]["sampling"], 500);
  EXPECT_DOUBLE_EQ(json["stages_us"]["waiting"], 5000);
  EXPECT_DOUBLE_EQ(json["machine"]["read_gbps"], 20);
  const std::string text = to_text(report);
  for (const char* word : {"scalar on 2 threads", "20.00", "75%", "attention", "25000.0", "waiting"})
    EXPECT_NE(text.find(word), std::string::npos) << word << " is missing from\n" << text;
}

}  // namespace
}  // namespace tern
