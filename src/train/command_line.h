// The options of `tern train search`, declared once: for the trainer and for tern, which checks them, shows
// them in its help and hands them over. Nothing of PyTorch in here.
#pragma once

#include <CLI/CLI.hpp>

#include <cstdlib>
#include <string>

#include "train/trainer.h"

namespace tern::train {

inline void add_search_options(CLI::App& search, TrainerOptions& options) {
  const CLI::Validator positive(
      [](const std::string& text) {
        const double value = std::strtod(text.c_str(), nullptr);  // not a number where it is not > 0
        return value > 0 && value <= 1e12 ? std::string() : "expected a positive number, found " + text;
      },
      "");
  search.add_option("--config", options.config_path, "TOML file: model, data, optimizer, run")->required();
  search.add_option("--out", options.out, "Folder of the run: checkpoint, log, config.toml, model.gguf, hf/")
      ->required();
  search.add_flag("--resume", options.resume, "Go on from the folder's checkpoint");
  search.add_option("--device", options.device, "Where to train")
      ->check(CLI::IsMember({"cpu", "cuda"}))
      ->capture_default_str();
  search.add_option("--threads", options.threads, "CPU threads")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  search.add_option("--minutes", options.minutes, "Instead of the config's: how long to train")
      ->check(positive);
  search.add_option("--steps", options.steps, "Instead of the config's: how many steps")->check(positive);
}

}  // namespace tern::train
