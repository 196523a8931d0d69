// tern inspect: what is in a file.
#include "measure/inspect.h"

#include <fmt/format.h>

#include "app/commands.h"
#include "model/hf_folder.h"

namespace tern::app {

void add_inspect(CLI::App& app) {
  struct Arguments {
    std::string file;
    bool json = false;
    bool no_measure = false;
  };
  CLI::App* command =
      app.add_subcommand("inspect", "Show what is in a model file and what running it will take");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("file", arguments->file,
                      "GGUF file or Hugging Face folder (default: the embedded model)");
  command->add_flag("--json", arguments->json, "Print one JSON object");
  command->add_flag("--no-measure", arguments->no_measure,
                    "Don't measure this machine's memory bandwidth, which the expected speed needs (0.3 s)");
  command->footer(R"(Examples:
  tern inspect model.gguf
  tern inspect DeepSeek-V2-Lite
  tern inspect --json model.gguf | jq .weights)");
  command->callback([arguments] {
    const GgufFile file = arguments->file.empty() ? embedded_model() : open_model_file(arguments->file);
    Inspection inspection = inspect(file);
    look_at_machine(inspection, !arguments->no_measure);
    if (arguments->json) {
      fmt::print("{}\n", to_json(inspection).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    } else {
      fmt::print("{}", to_text(inspection));
    }
  });
}

}  // namespace tern::app
