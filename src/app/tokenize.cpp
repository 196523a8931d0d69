// tern tokenize and tern detokenize: text to token ids and back, as the model's own tokenizer does it.
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "text/tokenizer.h"

namespace tern::app {
namespace {

using Json = nlohmann::json;

struct Arguments {
  std::string model;
  bool parse_special = false;
  bool json = false;
  bool lines = false;
};

Tokenizer open_tokenizer(const std::string& path) {
  if (path.empty()) return Tokenizer(read_vocabulary(embedded_model()));
  if (std::filesystem::is_directory(path)) return Tokenizer(read_hf_vocabulary(path));
  return Tokenizer(read_vocabulary(GgufFile::open(path)));
}

void write_out(std::string_view bytes) {
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) {
    fail(ErrorKind::io, "standard output: can't write");
  }
}

std::string read_in() {
  std::string text;
  char block[65536];
  for (size_t n; (n = std::fread(block, 1, sizeof block, stdin)) > 0;) text.append(block, n);
  if (std::ferror(stdin)) fail(ErrorKind::io, "standard input: can't read");
  return text;
}

// Calls `act` with the JSON value of each line that is not empty.
template <typename Act>
void each_json_line(Act act) {
  std::string line;
  for (size_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.empty()) continue;
    const Json value = Json::parse(line, nullptr, false);
    if (value.is_discarded()) fail(ErrorKind::bad_input, "standard input, line {}: no JSON", number);
    act(value, number);
  }
}

std::string spaced(const std::vector<int32_t>& ids) {
  return fmt::format("{}\n", fmt::join(ids, " "));
}

std::string listed(const std::vector<int32_t>& ids) {
  return fmt::format("[{}]\n", fmt::join(ids, ","));
}

void tokenize(const Arguments& arguments) {
  const Tokenizer tokenizer = open_tokenizer(arguments.model);
  if (!arguments.lines) {
    const std::vector<int32_t> ids = tokenizer.encode(read_in(), arguments.parse_special);
    return write_out(arguments.json ? listed(ids) : spaced(ids));
  }
  each_json_line([&](const Json& text, size_t number) {
    if (!text.is_string())
      fail(ErrorKind::bad_input, "standard input, line {}: expected a JSON string", number);
    const auto ids = tokenizer.encode(text.get_ref<const std::string&>(), arguments.parse_special);
    write_out(arguments.json ? listed(ids) : spaced(ids));
  });
}

// Numbers with white space, commas or the brackets of a list around them.
std::vector<int32_t> parse_ids(std::string_view text) {
  std::vector<int32_t> ids;
  size_t at = 0;
  while ((at = text.find_first_not_of(" \t\r\n,[]", at)) != std::string_view::npos) {
    const size_t end = std::min(text.find_first_of(" \t\r\n,[]", at), text.size());
    const std::string_view word = text.substr(at, end - at);
    int32_t id = 0;
    const auto [last, error] = std::from_chars(word.data(), word.data() + word.size(), id);
    if (error != std::errc{} || last != word.data() + word.size()) {
      fail(ErrorKind::bad_input, "standard input, byte {}: expected a token id, found \"{}\"", at,
           word.substr(0, 40));
    }
    ids.push_back(id);
    at = end;
  }
  return ids;
}

void detokenize(const Arguments& arguments) {
  const Tokenizer tokenizer = open_tokenizer(arguments.model);
  const auto text_of = [&](std::string_view ids) { return tokenizer.decode(parse_ids(ids), true); };
  if (!arguments.json) return write_out(text_of(read_in()));
  std::string line;
  while (std::getline(std::cin, line)) {
    write_out(Json(text_of(line)).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
  }
}

CLI::App* add_command(CLI::App& app, const char* name, const char* help,
                      const std::shared_ptr<Arguments>& arguments) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option(
      "-m,--model", arguments->model,
      "GGUF file, also one of a vocabulary alone, or Hugging Face folder (default: the embedded "
      "model)");
  return command;
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto to = std::make_shared<Arguments>();
  CLI::App* tokenize_command =
      add_command(app, "tokenize", "Print the token ids of the text on standard input", to);
  tokenize_command->add_flag(
      "--parse-special", to->parse_special,
      "Names of special tokens in the text become those tokens (default: they are text)");
  tokenize_command->add_flag("--json", to->json, "Print a JSON list");
  tokenize_command->add_flag("--lines", to->lines,
                             "Many texts: each line is a JSON string, and its ids are printed on one line");
  tokenize_command->footer(R"(No begin token is added. All of the input is text, its last newline too.

Examples:
  printf 'red shoes' | tern tokenize
  printf '<|im_start|>user' | tern tokenize -m model.gguf --parse-special --json
  jq -c .text corpus.jsonl | tern tokenize -m model.gguf --lines --json >ids.jsonl)");
  tokenize_command->callback([to] { tokenize(*to); });

  auto from = std::make_shared<Arguments>();
  CLI::App* detokenize_command =
      add_command(app, "detokenize", "Print the text of the token ids on standard input", from);
  detokenize_command->add_flag(
      "--json", from->json,
      "Many texts: the ids of each line become one line with a JSON string, bytes that are "
      "no UTF-8 replaced");
  detokenize_command->footer(
      R"(Ids stand apart by white space or commas; a JSON list is read too. The text's bytes are written as they are, special
tokens by their names.

Examples:
  printf 'red shoes' | tern tokenize | tern detokenize
  echo '[9707, 11, 1879]' | tern detokenize -m model.gguf
  tern detokenize -m model.gguf --json <ids.jsonl)");
  detokenize_command->callback([from] { detokenize(*from); });
}

}  // namespace tern::app
