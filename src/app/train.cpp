// tern train: hands over to the trainer, an executable of its own so that this process never carries PyTorch.
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <vector>

#include "app/commands.h"
#include "base/error.h"
#include "train/command_line.h"

namespace tern::app {
namespace {

/// The trainer beside this program, or where scripts/train-setup builds it.
std::string find_trainer() {
  namespace fs = std::filesystem;
  const fs::path here = fs::read_symlink("/proc/self/exe").parent_path();
  for (const fs::path& candidate :
       {here / "tern-train", here.parent_path() / "train" / "src" / "train" / "tern-train"}) {
    if (::access(candidate.c_str(), X_OK) == 0) return candidate.string();
  }
  fail(ErrorKind::unsupported,
       "the trainer is not built: run scripts/train-setup (it installs PyTorch into this clone) and try "
       "again");
}

/// What was given of `command`'s options, as the trainer takes it.
std::vector<std::string> given(const CLI::App& command) {
  std::vector<std::string> arguments = {command.get_name()};
  for (const CLI::Option* option : command.parse_order()) {
    arguments.push_back(option->get_name() + "=" + option->results().back());
  }
  return arguments;
}

[[noreturn]] void start_trainer(const std::vector<std::string>& arguments) {
  const std::string trainer = find_trainer();
  std::vector<char*> argv = {const_cast<char*>(trainer.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(trainer.c_str(), argv.data());
  fail(ErrorKind::io, "{}: cannot start: {}", trainer, std::strerror(errno));
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* train = app.add_subcommand("train", "Train a small model (needs scripts/train-setup)");
  train->require_subcommand(1);
  train->footer(R"(Examples:
  tern train search --config configs/search.toml --out runs/search
  tern train search --help)");
  CLI::App* search = train->add_subcommand("search", "Train on noisy shop search");
  auto options = std::make_shared<train::TrainerOptions>();
  train::add_search_options(*search, *options);
  search->footer(R"(Examples:
  tern train search --config configs/search.toml --out runs/search
  tern train search --config configs/search.toml --out runs/search --resume     go on after a stop or a crash
  tern train search --config configs/search-dense.toml --out runs/dense --device cuda

Writes DIR/model.gguf, DIR/hf/ (for transformers), DIR/log.jsonl and a checkpoint every few minutes.)");
  search->callback([search, options] { start_trainer(given(*search)); });
}

}  // namespace tern::app
