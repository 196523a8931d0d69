#include "tasks/search/examples_io.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "base/error.h"
#include "tasks/search/noise.h"

namespace tern::search {
namespace {

using Json = nlohmann::ordered_json;

std::string hex(uint64_t value) {
  return fmt::format("{:016x}", value);
}

/// Reads the keys of one line; every complaint names the place and the key.
class LineReader {
 public:
  LineReader(const Json& object, const std::string& where) : object_(object), where_(where) {}

  std::string text(const char* key, bool required) const {
    const auto at = object_.find(key);
    if (at == object_.end()) {
      if (required) fail(ErrorKind::bad_input, "{}: \"{}\" is missing", where_, key);
      return "";
    }
    if (!at->is_string()) wrong(key, "a text", *at);
    return at->get<std::string>();
  }

  uint64_t number(const char* key, uint64_t most) const {
    const auto at = object_.find(key);
    if (at == object_.end()) return 0;
    if (!at->is_number_unsigned() || at->get<uint64_t>() > most)
      wrong(key, fmt::format("an integer from 0 to {}", most), *at);
    return at->get<uint64_t>();
  }

  uint64_t hash(const char* key) const {
    const std::string digits = text(key, false);
    if (digits.empty()) return 0;
    const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
    if (digits.size() != 16 || !std::all_of(digits.begin(), digits.end(), is_hex)) {
      wrong(key, "16 lower-case hex digits", object_[key]);
    }
    return std::stoull(digits, nullptr, 16);
  }

  std::vector<std::string> lines(const char* key) const {
    std::vector<std::string> texts;
    for (const auto& item : array(key)) {
      if (!item.is_string()) wrong(key, "an array of texts", item);
      texts.push_back(item.get<std::string>());
    }
    return texts;
  }

  Json array(const char* key) const {
    const auto at = object_.find(key);
    if (at == object_.end()) return Json::array();
    if (!at->is_array()) wrong(key, "an array", *at);
    return *at;
  }

  [[noreturn]] void wrong(const char* key, const std::string& expected, const Json& found) const {
    std::string text = found.dump(-1, ' ', true, Json::error_handler_t::replace);
    if (text.size() > 60) text = text.substr(0, 60) + "…";
    fail(ErrorKind::bad_input, "{}: \"{}\": expected {}, found {}", where_, key, expected, text);
  }

 private:
  const Json& object_;
  const std::string& where_;
};

}  // namespace

std::string example_line(const Example& example) {
  Json steps = Json::array();
  for (const auto& step : example.steps) {
    steps.push_back({{"op", step.op}, {"at", step.at}, {"before", step.before}, {"after", step.after}});
  }
  const Json line = {{"query", example.query},
                     {"answer", Json::parse(to_json(example.answer))},
                     {"noise", example.noise},
                     {"index", example.index},
                     {"clean", example.clean},
                     {"thinking", example.thinking},
                     {"steps", std::move(steps)},
                     {"truth_hash", hex(example.truth_hash)},
                     {"phrasing_hash", hex(example.phrasing_hash)}};
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Example parse_example(std::string_view line, const std::string& where) {
  const Json object = Json::parse(line, nullptr, false);
  if (object.is_discarded())
    fail(ErrorKind::bad_input, "{}: expected one JSON object, found text that is not JSON", where);
  if (!object.is_object())
    fail(ErrorKind::bad_input, "{}: expected a JSON object, found {}", where, object.type_name());
  const LineReader reader(object, where);
  Example example;
  example.query = reader.text("query", true);
  if (!object.contains("answer")) fail(ErrorKind::bad_input, "{}: \"answer\" is missing", where);
  const auto answer = parse_answer(object["answer"].dump(-1, ' ', false, Json::error_handler_t::replace));
  if (!answer)
    reader.wrong("answer", "an answer such as {\"intent\":\"find\",\"types\":[\"sneaker\"]}",
                 object["answer"]);
  example.answer = *answer;
  example.noise = static_cast<int>(reader.number("noise", 4));
  example.index = reader.number("index", ~uint64_t{0});
  example.clean = reader.text("clean", false);
  example.thinking = reader.lines("thinking");
  example.truth_hash = reader.hash("truth_hash");
  example.phrasing_hash = reader.hash("phrasing_hash");
  for (const auto& item : reader.array("steps")) {
    if (!item.is_object()) reader.wrong("steps", "an array of objects", item);
    const LineReader step(item, where);
    example.steps.push_back({step.text("op", true), step.number("at", ~uint64_t{0}),
                             step.text("before", true), step.text("after", true)});
  }
  return example;
}

bool has_unseen_noise(const Example& example) {
  return std::any_of(example.steps.begin(), example.steps.end(), [](const NoiseStep& step) {
    return step.op == noise_op_name(NoiseOp::extra_space) || step.op == noise_op_name(NoiseOp::vowel_drop);
  });
}

std::vector<Example> read_examples(const std::string& path) {
  const std::string text = read_file(path);
  std::vector<Example> examples;
  std::string_view rest = text;
  for (size_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    examples.push_back(parse_example(line, fmt::format("{}:{}", path, number)));
  }
  if (examples.empty()) fail(ErrorKind::bad_input, "{}: expected examples as JSON lines, found none", path);
  return examples;
}

void write_examples(const std::string& path, std::span<const Example> examples) {
  AtomicFile file(path);
  for (const auto& example : examples) {
    file.write(example_line(example));
    file.write("\n");
  }
  file.commit();
}

}  // namespace tern::search
