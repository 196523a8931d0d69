#include "measure/load/trace.h"

#include <algorithm>

#include "base/error.h"
#include "text/bounded_json.h"

namespace tern::load {
namespace {

constexpr size_t kMostBytes = size_t{64} << 20, kMostLines = 1'000'000;
constexpr double kWeekMs = 7 * 86'400'000.0;

TraceLine read_line(std::string_view text, const std::string& where) {
  const Json json = parse_bounded_json(text, where);
  if (!json.is_object()) fail(ErrorKind::bad_input, "{}: expected a JSON object", where);
  TraceLine line;
  const auto whole = [&](const std::string& key, const Json& value, int64_t most) {
    if (!value.is_number_integer() || value < 1 || value > most)
      fail(ErrorKind::bad_input, "{}: {}: expected a whole number from 1 to {}", where, key, most);
    line.request[key] = value;
  };
  bool due = false;
  for (const auto& [key, value] : json.items()) {
    if (key == "at_ms") {
      if (!value.is_number() || !(value.get<double>() >= 0 && value.get<double>() <= kWeekMs))
        fail(ErrorKind::bad_input, "{}: at_ms: expected a number from 0 to {:.0f}", where, kWeekMs);
      line.at_s = value.get<double>() / 1e3;
      due = true;
    } else if (key == "prompt") {
      if (!value.is_string() || value.get_ref<const std::string&>().empty())
        fail(ErrorKind::bad_input, "{}: prompt: expected a string that is not empty", where);
      line.prompt = value;
    } else if (key == "max_tokens") {
      whole(key, value, 1'000'000);
    } else if (key == "deadline_ms") {
      whole(key, value, 3'600'000);
    } else if (key == "request") {
      if (!value.is_object() || json.size() != 2)
        fail(ErrorKind::bad_input, "{}: request: expected an object, and nothing beside it but at_ms", where);
      line.request = value;
    } else {
      fail(ErrorKind::bad_input,
           "{}: \"{}\": expected at_ms with request, or with prompt, max_tokens, deadline_ms", where,
           key.substr(0, 64));
    }
  }
  if (!due) fail(ErrorKind::bad_input, "{}: at_ms is missing", where);
  return line;
}

}  // namespace

std::vector<TraceLine> parse_trace(std::string_view text, const std::string& name) {
  if (text.size() > kMostBytes) fail(ErrorKind::limit, "{}: more than {} bytes", name, kMostBytes);
  std::vector<TraceLine> lines;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (lines.size() == kMostLines) fail(ErrorKind::limit, "{}: more than {} lines", name, kMostLines);
    lines.push_back(read_line(line, name + ":" + std::to_string(number)));
  }
  if (lines.empty()) fail(ErrorKind::bad_input, "{}: expected a line for each request, found none", name);
  std::stable_sort(lines.begin(), lines.end(),
                   [](const TraceLine& a, const TraceLine& b) { return a.at_s < b.at_s; });
  return lines;
}

}  // namespace tern::load
