// tern-train: trains small models on tern's tasks. `tern train` starts it.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/exit_code.h"
#include "train/command_line.h"

namespace {

/// A step allocates the same few hundred megabytes again and again: keep them instead of giving them back to
/// the system, and one arena for all threads.
void keep_memory() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, INT32_MAX);
  mallopt(M_TOP_PAD, 64 << 20);
}

using namespace tern;
using namespace tern::train;

struct LogitsOptions {
  TrainerOptions run;
  std::vector<int64_t> tokens;
};

void add_search(CLI::App& app, TrainerOptions& options) {
  CLI::App* search = app.add_subcommand("search", "Train on noisy shop search");
  add_search_options(*search, options);
  search->footer(R"(Examples:
  tern-train search --config configs/search.toml --out runs/search
  tern-train search --config configs/search.toml --out runs/search --resume
  tern-train search --config configs/search.toml --out runs/try --minutes 5)");
  search->callback([&options] {
    Config config = load_config(options.config_path);
    if (options.minutes > 0) config.run.minutes = options.minutes;
    if (options.steps > 0) config.run.steps = options.steps;
    train_search(config, options);
  });
}

void add_logits(CLI::App& app, LogitsOptions& options) {
  CLI::App* logits =
      app.add_subcommand("logits", "Print the logits of a run's checkpoint as JSON, a row a token");
  logits->add_option("--config", options.run.config_path, "The run's TOML file")->required();
  logits->add_option("--out", options.run.out, "The run's folder")->required();
  logits->add_option("--device", options.run.device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  logits->add_option("tokens", options.tokens, "Token ids")->required();
  logits->footer(
      "Example:\n  tern-train logits --config configs/search.toml --out runs/search 1018 1020 300 301");
  logits->callback([&options] {
    const Config config = load_config(options.run.config_path);
    std::printf("%s\n", nlohmann::json(run_logits(config, options.run, options.tokens)).dump().c_str());
  });
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains small models on tern's tasks with PyTorch", "tern-train");
  app.require_subcommand(1);
  TrainerOptions search;
  add_search(app, search);
  LogitsOptions logits;
  add_logits(app, logits);

  keep_memory();
  at::set_num_threads(1);  // the trainer's own threads each take a part of the batch
  at::globalContext().setFlushDenormal(true);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  } catch (const Error& error) {
    fmt::print(stderr, "tern-train: {}\n", error.what());
    return exit_code(error.kind());
  } catch (const std::exception& error) {
    fmt::print(stderr, "tern-train: {}\n", error.what());
    return 1;
  }
}
