// tern convert and tern quantize: a model as a GGUF file, in the types asked for.
#include "measure/convert.h"

#include <fmt/format.h>
#include <signal.h>

#include <atomic>
#include <filesystem>

#include "app/commands.h"
#include "base/cores.h"
#include "base/progress.h"
#include "model/hf_folder.h"

namespace tern::app {
namespace {

std::atomic<int> stop_signal{0};

/// SIGINT and SIGTERM end the work between two pieces, so that what was written so far is cleared away.
class CatchStop {
 public:
  CatchStop() {
    struct sigaction action = {};
    action.sa_handler = [](int signal) { stop_signal = signal; };
    ::sigaction(SIGINT, &action, &interrupt_);
    ::sigaction(SIGTERM, &action, &terminate_);
  }
  ~CatchStop() {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGTERM, &terminate_, nullptr);
  }
  CatchStop(const CatchStop&) = delete;

 private:
  struct sigaction interrupt_, terminate_;
};

struct Arguments {
  std::string input, output, type;
  std::vector<std::string> keep;
  bool force = false, requantize = false;
  int threads = 0;
};

void check_output(const Arguments& arguments) {
  const std::string& path = arguments.output;
  if (std::filesystem::is_directory(path)) fail(ErrorKind::io, "{}: expected a file, found a folder", path);
  if (std::filesystem::exists(path) && !arguments.force)
    fail(ErrorKind::io, "{}: exists already; --force writes over it", path);
}

std::string gigabytes(uint64_t bytes) {
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
}

std::string types_text(const ConversionPlan& plan) {
  std::string text;
  for (const auto& [type, bytes] : plan.bytes_of_type)
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", gigabytes(bytes), type);
  return text;
}

/// Writes the output with a progress bar; a signal ends the process as it would have without one.
void write(const GgufFile& file, const Conversion& conversion, const Arguments& arguments,
           const char* label) {
  const ConversionPlan plan = plan_conversion(file, conversion);
  if (!plan.requantized.empty())
    fmt::print(stderr, "warning: {} tensors lose precision a second time\n", plan.requantized.size());
  ThreadTeam team(arguments.threads > 0 ? arguments.threads : usable_cores());
  Progress bar(label);
  try {
    const CatchStop stop;
    convert(file, conversion, plan, arguments.output, team, [&](double share, const std::string& tensor) {
      bar.update(share, tensor);
      return stop_signal == 0;
    });
  } catch (...) {
    if (stop_signal != 0) ::raise(stop_signal);
    throw;
  }
  bar.finish();
  fmt::print(stderr, "{}: {} ({}), from {}\n", arguments.output,
             gigabytes(std::filesystem::file_size(arguments.output)), types_text(plan),
             gigabytes(plan.source_bytes));
}

void run_convert(const Arguments& arguments) {
  check_output(arguments);
  const GgufFile file = open_hf_folder(arguments.input);
  const Vocabulary vocabulary = read_vocabulary(file);
  Conversion conversion{.keep = arguments.keep, .keep_quantized = true, .vocabulary = &vocabulary};
  if (!arguments.type.empty()) conversion.mix = &find_mix(arguments.type);
  write(file, conversion, arguments, "convert");
}

void run_quantize(const Arguments& arguments) {
  check_output(arguments);
  const GgufFile file = open_model_file(arguments.input);
  Conversion conversion{
      .mix = &find_mix(arguments.type), .keep = arguments.keep, .requantize = arguments.requantize};
  Vocabulary vocabulary;
  if (!file.folder().empty()) {
    vocabulary = read_vocabulary(file);
    conversion.vocabulary = &vocabulary;
  }
  write(file, conversion, arguments, "quantize");
}

void add_common(CLI::App& command, Arguments& arguments) {
  command.add_option("output", arguments.output, "GGUF file to write")->required();
  command
      .add_option("--keep", arguments.keep,
                  "Tensors that keep their type: names with * and ?, such as 'blk.0.*' (may be given again)")
      ->allow_extra_args(false);
  command.add_flag("--force", arguments.force, "Write over a file that exists");
  command
      .add_option("--threads", arguments.threads, "Threads to use (default: the cores this process may use)")
      ->check(CLI::Range(0, 1024));
}

CLI::Option* add_type(CLI::App& command, Arguments& arguments, const std::string& note) {
  return command.add_option("--type", arguments.type, mix_names() + note)
      ->check(readable_by([](const std::string& name) { return find_mix(name).file_type; }));
}

}  // namespace

void add_convert(CLI::App& app) {
  CLI::App* command = app.add_subcommand("convert", "Make a GGUF file of a Hugging Face folder");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("folder", arguments->input, "Folder with config.json, tokenizer.json and safetensors")
      ->required();
  add_common(*command, *arguments);
  add_type(*command, *arguments, " (default: the types of the folder; FP8 becomes BF16)");
  command->footer(R"(Layers that predict further tokens (multi-token prediction) are kept.

Examples:
  tern convert DeepSeek-V2-Lite v2-lite.gguf
  tern convert DeepSeek-V2-Lite v2-lite-q4.gguf --type q4_k_m)");
  command->callback([arguments] { run_convert(*arguments); });
}

void add_quantize(CLI::App& app) {
  CLI::App* command = app.add_subcommand("quantize", "Write a model in smaller types");
  auto arguments = std::make_shared<Arguments>();
  command
      ->add_option("input", arguments->input, "GGUF file (any piece of one in pieces) or Hugging Face folder")
      ->required();
  add_common(*command, *arguments);
  add_type(*command, *arguments, "")->required();
  command->add_flag("--allow-requantize", arguments->requantize,
                    "Quantize what is quantized already, at a loss");
  command->footer(R"(Examples:
  tern quantize model-f16.gguf model-q4.gguf --type q4_k_m
  tern quantize model-00001-of-00003.gguf model-q8.gguf --type q8_0 --keep 'output.weight')");
  command->callback([arguments] { run_quantize(*arguments); });
}

}  // namespace tern::app
