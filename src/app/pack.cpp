// tern pack: a model's packed file, without running the model.
#include "model/pack_model.h"

#include <fmt/format.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "base/clock.h"
#include "base/cores.h"
#include "model/packed_file.h"

namespace tern::app {
namespace {

struct PackArguments {
  ModelArguments model;
  bool check = false;
  bool json = false;
};

struct PackResult {
  std::string path;
  uint64_t bytes = 0;
  const char* what = "written";  ///< written, kept (it was there and whole) or checked
};

std::string printable_size(uint64_t bytes) {
  return bytes >= 1'000'000'000 ? fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9)
                                : fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

bool exists(const std::string& path) {
  return !path.empty() && ::access(path.c_str(), F_OK) == 0;
}

/// The file that a start would take. Throws Error{io} where there is none.
PackResult check(const GgufFile& file, const PackOptions& places) {
  for (const std::string& path : {places.path, places.read_only}) {
    if (exists(path)) return {path, check_pack(file, path, progress_bar("check", 0)), "checked"};
  }
  fail(ErrorKind::io, "{}: it has no packed file; `tern pack` without --check writes one", file.name());
}

PackResult pack(const GgufFile& file, const PackOptions& places, int threads) {
  if (places.path.empty())
    fail(ErrorKind::io, "{}: neither its folder nor a cache folder can be written", file.name());
  if (exists(places.path)) {
    try {
      return {places.path, check_pack(file, places.path, progress_bar("check", 0)), "kept"};
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::bad_input) throw;  // else it is of no use, and written anew
    }
  }
  const uint64_t bytes =
      write_pack(file, places.path, threads, progress_bar("pack", 0), progress_bar("write", 0));
  return {places.path, bytes, "written"};
}

void print(const PackResult& result, double seconds, bool json) {
  if (json) {
    const nlohmann::ordered_json out = {
        {"path", result.path}, {"bytes", result.bytes}, {"result", result.what}, {"seconds", seconds}};
    fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  const std::string_view what = result.what;
  fmt::print("{}: {}, {} in {:.1f} s\n", result.path, printable_size(result.bytes),
             what == "written" ? "written"
             : what == "kept"  ? "was there already, and whole; read"
                               : "whole; read",
             seconds);
}

void run(const PackArguments& arguments) {
  const TimePoint start = Clock::now();
  const GgufFile file = arguments.model.open();
  const PackOptions places = arguments.model.pack();
  const int threads = arguments.model.threads > 0 ? arguments.model.threads : usable_cores();
  const PackResult result = arguments.check ? check(file, places) : pack(file, places, threads);
  print(result, seconds_since(start), arguments.json);
}

}  // namespace

void add_pack(CLI::App& app) {
  CLI::App* command = app.add_subcommand("pack", "Write or check the file that makes a model's starts short");
  auto arguments = std::make_shared<PackArguments>();
  command->add_option("model", arguments->model.path, "GGUF file (any piece of one in pieces)")->required();
  command->add_flag("--check", arguments->check, "Read the packed file through and say whether it is whole");
  command
      ->add_option("--threads", arguments->model.threads,
                   "Threads to use (default: the cores this process may use)")
      ->check(CLI::Range(0, 1024));
  command->add_flag("--json", arguments->json, "Print one JSON object");
  command->footer(
      R"(The packed file holds the weights as tern computes with them, so that a start maps it instead of
packing: MODEL.pack, as large as the model, or in ~/.cache/tern where MODEL's folder can't be written.
`tern run` and `tern serve` write it in the background after their first answer; this command is for
who wants it before. It may be deleted at any time. One that is whole is left as it is; one that was
made from another model file, by another tern, or is damaged is written anew.

Examples:
  tern pack model.gguf
  tern pack --check model.gguf            exit code 3 where it is damaged or of another model
  tern pack --json model.gguf | jq -r .path)");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace tern::app
