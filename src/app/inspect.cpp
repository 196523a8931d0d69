// tern inspect: what is in a file.
#include "measure/inspect.h"

#include <fmt/format.h>

#include "app/commands.h"

namespace tern::app {

void add_inspect(CLI::App& app) {
  struct Arguments {
    std::string file;
    bool json = false;
  };
  CLI::App* command =
      app.add_subcommand("inspect", "Show what is in a model file and the memory it will take");
  auto arguments = std::make_shared<Arguments>();
  command->add_option("file", arguments->file, "GGUF file (default: the embedded model)");
  command->add_flag("--json", arguments->json, "Print one JSON object");
  command->footer(R"(Examples:
  tern inspect model.gguf
  tern inspect --json model.gguf | jq .weights)");
  command->callback([arguments] {
    const GgufFile file = arguments->file.empty() ? embedded_model() : GgufFile::open(arguments->file);
    const Inspection inspection = inspect(file);
    if (arguments->json) {
      fmt::print("{}\n", to_json(inspection).dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    } else {
      fmt::print("{}", to_text(inspection));
    }
  });
}

}  // namespace tern::app
