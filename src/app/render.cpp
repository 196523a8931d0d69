// tern render: chat requests to prompts.
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "base/error.h"
#include "base/mapped_file.h"
#include "text/chat.h"
#include "text/jinja/json.h"
#include "text/jinja/template.h"

namespace tern::app {
namespace {

struct RenderArguments {
  std::string model, path;
  std::string now;
  bool json = false, lines = false, no_generation_prompt = false;
};

/// 2026-01-31T12:00:00, the time of day may be left out.
std::tm parse_time(const std::string& text) {
  std::tm time = {};
  for (const char* format : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"}) {
    time = {};
    const char* end = ::strptime(text.c_str(), format, &time);
    if (!end || *end != '\0') continue;
    std::tm whole = time;
    ::timegm(&whole);  // the weekday and the day of the year
    return whole;
  }
  fail(ErrorKind::bad_input, "time \"{}\": expected such as 2026-01-31T12:00:00", text);
}

/// What turns requests into prompts: a template of its own, a model's, or the one that a request brings.
class Renderer {
 public:
  explicit Renderer(const RenderArguments& arguments) : arguments_(arguments) {
    if (!arguments.now.empty()) options_.now = parse_time(arguments.now);
    if (!arguments.model.empty()) {
      tokenizer_.emplace(read_vocabulary(GgufFile::open(arguments.model)));
      format_.emplace(*tokenizer_);
    }
    if (!arguments.path.empty()) {
      const MappedFile file(arguments.path);
      const auto bytes = file.bytes();
      template_.emplace(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    }
  }

  jinja::Rendered prompt(const std::string& request) const {
    const jinja::Value value = jinja::parse_json(request);
    if (!value.dict()) fail(ErrorKind::bad_input, "the request: expected a JSON object");
    jinja::Dict variables = *value.dict();
    if (arguments_.no_generation_prompt) variables.set("add_generation_prompt", false);
    complete_variables(variables, tokenizer_ ? &*tokenizer_ : nullptr);
    if (const jinja::Value* own = variables.get("chat_template")) {
      if (!own->text()) fail(ErrorKind::bad_input, "chat_template: expected a string");
      return jinja::Template(own->text()->view()).render(variables, options_);
    }
    if (template_) return template_->render(variables, options_);
    if (!format_) fail(ErrorKind::bad_input, "no template: expected -m, --template or a key chat_template");
    return format_->render(variables, options_);
  }

  nlohmann::ordered_json described(const jinja::Rendered& prompt) const {
    nlohmann::ordered_json out;
    out["text"] = prompt.text;
    out["trusted"] = nlohmann::ordered_json::array();
    for (const TextSpan& span : prompt.trusted) out["trusted"].push_back({span.begin, span.end});
    if (tokenizer_) out["tokens"] = tokenizer_->encode(prompt.text, prompt.trusted);
    return out;
  }

 private:
  const RenderArguments& arguments_;
  jinja::RenderOptions options_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<ChatFormat> format_;
  std::optional<jinja::Template> template_;
};

void print_line(const nlohmann::ordered_json& json) {
  const std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
}

/// One request a line, one answer a line; an error is an answer, and the next request goes on.
void render_lines(const Renderer& renderer) {
  for (std::string line; std::getline(std::cin, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    try {
      print_line(renderer.described(renderer.prompt(line)));
    } catch (const Error& error) {
      const bool unsupported = error.kind() == ErrorKind::unsupported;
      const char* kind = unsupported                        ? "unsupported"
                         : error.kind() == ErrorKind::limit ? "limit"
                                                            : "bad_input";
      print_line({{"error", error.what()}, {"kind", kind}});
    }
    std::fflush(stdout);
  }
}

void render(const RenderArguments& arguments) {
  if (!arguments.model.empty() && !arguments.path.empty())
    throw CLI::ValidationError("--template", "expected either -m or --template");
  const Renderer renderer(arguments);
  if (arguments.lines) return render_lines(renderer);
  const std::string request(std::istreambuf_iterator<char>(std::cin), {});
  const jinja::Rendered prompt = renderer.prompt(request);
  if (arguments.json) return print_line(renderer.described(prompt));
  std::fwrite(prompt.text.data(), 1, prompt.text.size(), stdout);
}

}  // namespace

void add_render(CLI::App& app) {
  CLI::App* command = app.add_subcommand("render", "Print the prompt that a chat request becomes");
  auto arguments = std::make_shared<RenderArguments>();
  command->add_option("-m,--model", arguments->model, "GGUF file whose chat template and tokens are used");
  command->add_option("--template", arguments->path, "Jinja file to use instead of a model's template");
  command
      ->add_option("--now", arguments->now,
                   "What strftime_now() says, such as 2026-01-31T12:00:00 (default: the clock)")
      ->check(readable_by(parse_time));
  command->add_flag("--no-generation-prompt", arguments->no_generation_prompt,
                    "Do not open the assistant's turn (as \"add_generation_prompt\": false)");
  CLI::Option* json = command->add_flag(
      "--json", arguments->json,
      "Print a JSON object: text, the trusted byte spans that the template wrote, tokens with -m");
  command
      ->add_flag("--jsonl", arguments->lines,
                 "Read a request a line, print such an object (or an error) a line")
      ->excludes(json);
  command->footer(
      R"(Reads a request from standard input, a JSON object. Its keys are the template's variables: messages, tools,
add_generation_prompt (default true), enable_thinking, bos_token and what else the template knows; tools and
documents are none where they are missing. With -m, bos_token and eos_token come from the file. A key
chat_template is a template that goes before all others.

Examples:
  tern render -m model.gguf < request.json
  echo '{"messages":[{"role":"user","content":"hi"}],"bos_token":"<s>"}' | tern render --template chat.jinja
  tern render -m model.gguf --jsonl < requests.jsonl > prompts.jsonl

Special tokens are recognised in the trusted spans only: text of users never becomes one.)");
  command->callback([arguments] { render(*arguments); });
}

}  // namespace tern::app
