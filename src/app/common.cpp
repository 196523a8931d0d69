#include <unistd.h>

#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "app/commands.h"
#include "base/checked.h"
#include "base/error.h"
#include "base/progress.h"
#include "model/hf_folder.h"

extern "C" {
extern const std::byte tern_model_begin[];
extern const std::byte tern_model_end[];
}

namespace tern::app {

GgufFile embedded_model() {
  return GgufFile::parse({tern_model_begin, tern_model_end}, "the embedded model");
}

void ModelArguments::add_to(CLI::App& command) {
  command.add_option("-m,--model", path,
                     "GGUF file or Hugging Face folder to run (default: the embedded model)");
  command
      .add_option("--isa", isa,
                  "Force an instruction set: scalar, avx2, avx512, avx512_bf16 (default: the best one here)")
      ->check(readable_by([](const std::string& name) { return kernels(parse_isa(name)).isa; }));
  command.add_option("--threads", threads, "Threads to use (default: the cores this process may use)")
      ->check(CLI::Range(0, 1024));
  command
      .add_option(
          "--cache-type", cache_type,
          "How exactly keys and values are kept: f32, bf16 or int8 (default: auto, int8 for quantized "
          "models, f32 for others)")
      ->check(readable_by(parse_cache_type));
  command.add_flag("--no-pack", no_pack,
                   "Neither use nor write MODEL.pack (in ~/.cache/tern where its folder can't be written), "
                   "from which later starts take their weights as they are");
}

GgufFile ModelArguments::open() const {
  return path.empty() ? embedded_model() : open_model_file(path);
}

void ModelArguments::apply(EngineOptions& options) const {
  if (!isa.empty()) options.isa = parse_isa(isa);
  options.threads = threads;
  options.cache_type = cache();
  options.pack = pack();
  options.progress = load_bar();
}

CacheType ModelArguments::cache() const {
  return cache_type.empty() ? CacheType::automatic : parse_cache_type(cache_type);
}

PackOptions ModelArguments::pack() const {
  PackOptions options;
  if (no_pack || path.empty() || is_hf_folder(path)) return options;
  options.path = beside(".pack");
  if (const std::string there = path + ".pack"; there != options.path) options.read_only = there;
  options.warn = [](const std::string& what) { fmt::print(stderr, "tern: warning: {}\n", what); };
  return options;
}

ByteProgress progress_bar(const std::string& label, uint64_t least_bytes) {
  if (!::isatty(STDERR_FILENO)) return {};
  return [label, least_bytes, bar = std::make_shared<std::optional<Progress>>()](uint64_t done,
                                                                                 uint64_t wanted) {
    if (wanted < least_bytes) return;
    if (!*bar) bar->emplace(label);
    (*bar)->update(static_cast<double>(done) / static_cast<double>(wanted),
                   fmt::format("{:.1f} of {:.1f} GB", static_cast<double>(done) / 1e9,
                               static_cast<double>(wanted) / 1e9));
    if (done == wanted) bar->reset();
  };
}

ByteProgress load_bar() {
  return progress_bar("load", 1'000'000'000);
}

std::string ModelArguments::name() const {
  if (path.empty()) return "tern-search";
  if (!is_hf_folder(path)) return std::filesystem::path(path).stem().string();
  return std::filesystem::weakly_canonical(path + "/config.json").parent_path().filename().string();
}

std::string ModelArguments::beside(const std::string& ending) const {
  namespace fs = std::filesystem;
  const fs::path model = fs::path(path).lexically_normal();
  const fs::path folder = model.has_parent_path() ? model.parent_path() : fs::path(".");
  if (!path.empty() && !is_hf_folder(path) && ::access(folder.c_str(), W_OK) == 0) return path + ending;
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  if (!(cache && *cache) && !(home && *home)) return {};
  const fs::path kept = (cache && *cache ? fs::path(cache) : fs::path(home) / ".cache") / "tern";
  std::error_code failed;
  fs::create_directories(kept, failed);
  return failed ? std::string() : (kept / (name() + ending)).string();
}

uint64_t parse_size(const std::string& text) {
  uint64_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit(rest, text.data() + text.size());
  for (char& c : unit) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  static constexpr std::pair<const char*, int> kUnits[] = {
      {"", 0},     {"B", 0},  {"K", 10},  {"KB", 10},  {"KIB", 10}, {"M", 20},  {"MB", 20},
      {"MIB", 20}, {"G", 30}, {"GB", 30}, {"GIB", 30}, {"T", 40},   {"TB", 40}, {"TIB", 40}};
  if (error == std::errc{}) {
    for (const auto& [name, shift] : kUnits) {
      if (unit == name) return checked_mul(number, uint64_t{1} << shift, text.c_str());
    }
  }
  fail(ErrorKind::bad_input, "size \"{}\": expected a number with K, M, G or T, such as 512M", text);
}

}  // namespace tern::app
