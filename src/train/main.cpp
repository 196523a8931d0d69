// tern-train: trains small models on tern's tasks. `tern train` starts it.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "train/trainer.h"

namespace {

/// A step allocates the same few hundred megabytes again and again: keep them instead of giving them back to
/// the system, and one arena for all threads.
void keep_memory() {
  mallopt(M_ARENA_MAX, 1);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, INT32_MAX);
  mallopt(M_TOP_PAD, 64 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Trains small models on tern's tasks with PyTorch", "tern-train");
  app.require_subcommand(1);
  tern::train::TrainerOptions options;
  double minutes = 0;
  int64_t steps = 0;
  CLI::App* search = app.add_subcommand("search", "Train on noisy shop search");
  search->add_option("--config", options.config_path, "TOML file: model, data, optimizer, run")->required();
  search->add_option("--out", options.out, "Folder of the run: checkpoint, log, model.gguf, hf/")->required();
  search->add_flag("--resume", options.resume, "Go on from the folder's checkpoint");
  search->add_option("--device", options.device, "cpu or cuda")->check(CLI::IsMember({"cpu", "cuda"}));
  search->add_option("--threads", options.threads, "CPU threads")->check(CLI::Range(1, 256));
  search->add_option("--minutes", minutes, "Instead of the config's: how long to train");
  search->add_option("--steps", steps, "Instead of the config's: how many steps");
  search->footer(R"(Examples:
  tern-train search --config configs/search.toml --out runs/search
  tern-train search --config configs/search.toml --out runs/search --resume
  tern-train search --config configs/search.toml --out runs/try --minutes 5)");

  std::vector<int64_t> tokens;
  CLI::App* logits =
      app.add_subcommand("logits", "Print the logits of a run's checkpoint as JSON, a row a token");
  logits->add_option("--config", options.config_path, "The run's TOML file")->required();
  logits->add_option("--out", options.out, "The run's folder")->required();
  logits->add_option("tokens", tokens, "Token ids")->required();
  logits->footer(
      "Example:\n  tern-train logits --config configs/search.toml --out runs/search 1018 1020 300 301");
  CLI11_PARSE(app, argc, argv);

  keep_memory();
  at::set_num_threads(1);  // the trainer's own threads each take a part of the batch
  at::globalContext().setFlushDenormal(true);
  try {
    tern::train::Config config = tern::train::load_config(options.config_path);
    if (logits->parsed()) {
      std::printf("%s\n", nlohmann::json(tern::train::run_logits(config, options, tokens)).dump().c_str());
      return 0;
    }
    if (minutes > 0) config.run.minutes = minutes;
    if (steps > 0) config.run.steps = steps;
    tern::train::train_search(config, options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tern-train: %s\n", error.what());
    return 1;
  }
  return 0;
}
