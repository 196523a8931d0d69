// tern bench: how fast a model runs here, and how fast it could at most.
#include "measure/bench.h"

#include <fmt/format.h>

#include <cstdio>
#include <iostream>
#include <string>

#include "app/commands.h"
#include "base/cores.h"
#include "base/error.h"
#include "base/progress.h"

namespace tern::app {
namespace {

struct BenchArguments {
  ModelArguments model;
  BenchOptions options;
  bool json = false;
  bool in_turn = false;
};

/// Says that a round could begin, and waits until it may.
void wait_for_turn() {
  fmt::print("ready\n");
  std::fflush(stdout);
  std::string line;
  if (!std::getline(std::cin, line)) fail(ErrorKind::bad_input, "bench: --in-turn: standard input ended");
}

template <typename Report>
void print(const Report& report, bool json) {
  fmt::print("{}", json ? to_json(report).dump(2) + "\n" : to_text(report));
}

/// What -m and its company say of threads and kernels.
const BenchOptions& settle(BenchArguments& arguments) {
  BenchOptions& options = arguments.options;
  if (!arguments.model.isa.empty()) options.isa = parse_isa(arguments.model.isa);
  options.threads = arguments.model.threads > 0 ? arguments.model.threads : usable_cores();
  options.cache_type = arguments.model.cache();
  options.pack = arguments.model.pack();
  options.load_progress = load_bar();
  if (arguments.in_turn) options.before_round = wait_for_turn;
  return options;
}

void measure_model(BenchArguments& arguments) {
  const BenchOptions& options = settle(arguments);
  const GgufFile file = arguments.model.open();
  Progress progress("bench");
  const BenchReport report =
      run_bench(file, options, [&](double share, const std::string& what) { progress.update(share, what); });
  progress.finish();
  print(report, arguments.json);
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("bench", "Measure how fast a model runs here, beside the machine's limits");
  auto arguments = std::make_shared<BenchArguments>();
  BenchOptions& options = arguments->options;
  arguments->model.add_to(*command);
  const auto add = [&](const char* names, int& value, int least, int most, const char* what) {
    command->add_option(names, value, what)->check(CLI::Range(least, most))->capture_default_str();
  };
  constexpr int kMost = 1 << 20;  // what the model bears is checked when it is known
  add("-p,--prompt", options.prompt, 0, kMost, "Tokens of a prompt (0: no prompts)");
  add("-n,--generate", options.generate, 0, kMost, "Tokens that each stream generates (0: no decoding)");
  add("-d,--depth", options.depth, 0, kMost, "Tokens in the cache before a stream begins");
  add("-b,--streams", options.streams, 1, 1024, "Streams decoded together");
  add("-r,--rounds", options.rounds, 1, 10000, "Prompts and decoding in turn, so often; the median counts");
  add("--piece", options.piece, 1, 65536, "Tokens of a prompt in one pass at most");
  command->add_flag("--json", arguments->json, "Print one JSON object");
  command->add_flag(
      "--in-turn", arguments->in_turn,
      "Before each round print \"ready\" and wait for a line of input: for two programs in turn");
  command->footer(
      R"(The limits are measured in the same run: the bandwidth of reading memory, and the 8-bit products of
this instruction set on registers alone. GB/s counts the weights that a pass must read and the cache.

Examples:
  tern bench                              the embedded model
  tern bench -m model.gguf -p 512 -n 64
  tern bench -m model.gguf -d 4096 -b 8   eight streams behind 4,096 tokens each
  tern bench machine                      the limits alone)");

  CLI::App* machine = command->add_subcommand("machine", "Measure the machine's limits alone");
  machine->fallthrough();
  machine->callback([arguments] {
    const BenchOptions& settled = settle(*arguments);
    print(measure_machine(settled.isa, settled.threads, 1), arguments->json);
  });
  command->callback([arguments, machine] {
    if (!machine->parsed()) measure_model(*arguments);
  });
}

}  // namespace tern::app
