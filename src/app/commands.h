// The commands of the program. Each adds its subcommand with its options and help; the callback does the
// work.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>

#include "base/error.h"
#include "base/progress.h"
#include "engine/engine.h"
#include "files/gguf.h"

namespace tern::app {

void add_run(CLI::App& app);
void add_serve(CLI::App& app);
void add_render(CLI::App& app);
void add_inspect(CLI::App& app);
void add_convert(CLI::App& app);
void add_quantize(CLI::App& app);
void add_eval(CLI::App& app);
void add_bench(CLI::App& app);
void add_pack(CLI::App& app);
void add_load(CLI::App& app);
void add_train(CLI::App& app);
void add_keys(CLI::App& app);
void add_tokenize(CLI::App& app);  // and detokenize

/// What every command that loads a model takes.
struct ModelArguments {
  std::string path;        ///< empty: the embedded model
  std::string isa;         ///< empty: the best this machine has
  int threads = 0;         ///< 0: every core this process may use
  std::string cache_type;  ///< empty: automatic
  bool no_pack = false;

  /// Adds -m, --isa, --threads, --cache-type and --no-pack.
  void add_to(CLI::App& command);
  GgufFile open() const;
  void apply(EngineOptions& options) const;
  CacheType cache() const;
  /// Where the model's packed weights are kept.
  PackOptions pack() const;
  /// Where to keep what is known of the model on this machine: the model's path, or its name in the cache
  /// folder (XDG_CACHE_HOME, ~/.cache) where the model is embedded or its folder can't be written, with
  /// `ending`. Empty where there is no such place.
  std::string beside(const std::string& ending) const;
  /// The name to show: the file's without folder and ending, or "tern-search".
  std::string name() const;
};

/// A bar on standard error for work on so many bytes or more; empty where that is no terminal.
ByteProgress progress_bar(const std::string& label, uint64_t least_bytes);
/// The one of all commands that load a model: small ones are there in no time.
ByteProgress load_bar();

/// The model inside the program.
GgufFile embedded_model();

/// "512M", "2GiB", "1000000": bytes. Throws Error{bad_input | limit}.
uint64_t parse_size(const std::string& text);

/// A check for CLI11 from the function that reads an option's value: where that throws Error, the value is
/// wrong usage, and CLI11 puts the option's name before the message.
template <typename Read>
auto readable_by(Read read) {
  return [read](const std::string& text) {
    try {
      static_cast<void>(read(text));
      return std::string();
    } catch (const Error& error) {
      return std::string(error.what());
    }
  };
}

}  // namespace tern::app
