#include "tasks/search/answer.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace tern::search {
namespace {

constexpr std::array<std::string_view, 4> intent_names = {"find", "compare", "support", "off_topic"};

void append_quoted(std::string& out, std::string_view text) {
  const auto plain = [](char c) { return c >= ' ' && c <= '~' && c != '"' && c != '\\'; };
  if (!std::all_of(text.begin(), text.end(), plain)) {  // only in answers that someone else wrote
    out += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return;
  }
  out += '"';
  out += text;
  out += '"';
}

void append_set(std::string& out, const char* key, const std::vector<std::string>& ids) {
  if (ids.empty()) return;
  out += ",\"";
  out += key;
  out += "\":[";
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) out += ',';
    append_quoted(out, ids[i]);
  }
  out += ']';
}

void append_text(std::string& out, const char* key, const std::string& value) {
  if (value.empty()) return;
  out += ",\"";
  out += key;
  out += "\":";
  append_quoted(out, value);
}

void append_price(std::string& out, const char* key, const std::optional<int64_t>& cents) {
  if (!cents) return;
  out += ",\"";
  out += key;
  out += "\":";
  out += std::to_string(*cents);
}

bool read_set(const nlohmann::json& value, std::vector<std::string>& ids) {
  if (!value.is_array() || value.empty()) return false;
  for (const auto& id : value) {
    if (!id.is_string() || id.get_ref<const std::string&>().empty()) return false;
    ids.push_back(id.get<std::string>());
  }
  std::sort(ids.begin(), ids.end());
  return std::adjacent_find(ids.begin(), ids.end()) == ids.end();
}

bool read_text(const nlohmann::json& value, std::string& text) {
  if (!value.is_string() || value.get_ref<const std::string&>().empty()) return false;
  text = value.get<std::string>();
  return true;
}

bool read_price(const nlohmann::json& value, std::optional<int64_t>& cents) {
  if (!value.is_number_integer() || value.get<double>() < 0 || value.get<double>() > 1e15) return false;
  cents = value.get<int64_t>();
  return true;
}

bool read_intent(const nlohmann::json& value, Intent& intent) {
  if (!value.is_string()) return false;
  const auto found = std::find(intent_names.begin(), intent_names.end(), value.get_ref<const std::string&>());
  if (found == intent_names.end()) return false;
  intent = static_cast<Intent>(found - intent_names.begin());
  return true;
}

bool read_key(const std::string& key, const nlohmann::json& value, Answer& answer) {
  if (key == "intent") return read_intent(value, answer.intent);
  if (key == "types") return read_set(value, answer.types);
  if (key == "brands") return read_set(value, answer.brands);
  if (key == "colours") return read_set(value, answer.colours);
  if (key == "materials") return read_set(value, answer.materials);
  if (key == "sizes") return read_set(value, answer.sizes);
  if (key == "audience") return read_text(value, answer.audience);
  if (key == "not") return read_set(value, answer.excluded);
  if (key == "min") return read_price(value, answer.min_price);
  if (key == "max") return read_price(value, answer.max_price);
  if (key == "sort") return read_text(value, answer.sort);
  if (key == "note") return read_text(value, answer.note);
  return false;
}

}  // namespace

std::string_view intent_name(Intent intent) {
  return intent_names[static_cast<size_t>(intent)];
}

std::string to_json(const Answer& answer) {
  std::string out = "{\"intent\":";
  append_quoted(out, intent_name(answer.intent));
  append_set(out, "types", answer.types);
  append_set(out, "brands", answer.brands);
  append_set(out, "colours", answer.colours);
  append_set(out, "materials", answer.materials);
  append_set(out, "sizes", answer.sizes);
  append_text(out, "audience", answer.audience);
  append_set(out, "not", answer.excluded);
  append_price(out, "min", answer.min_price);
  append_price(out, "max", answer.max_price);
  append_text(out, "sort", answer.sort);
  append_text(out, "note", answer.note);
  out += '}';
  return out;
}

std::optional<Answer> parse_answer(std::string_view text) {
  // A repeated key would silently win: refuse it while parsing.
  std::vector<std::string> seen;
  bool repeated = false;
  int deepest = 0;
  const auto callback = [&](int depth, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    deepest = std::max(deepest, depth);
    if (event == nlohmann::json::parse_event_t::key && depth == 1) {
      const auto& key = value.get_ref<const std::string&>();
      repeated = repeated || std::find(seen.begin(), seen.end(), key) != seen.end();
      seen.push_back(key);
    }
    return depth <= 4;
  };
  if (text.size() > 65536) return std::nullopt;
  const auto parsed = nlohmann::json::parse(text, callback, false);
  if (!parsed.is_object() || repeated || deepest > 4 || !parsed.contains("intent")) return std::nullopt;
  Answer answer;
  for (const auto& [key, value] : parsed.items()) {
    if (!read_key(key, value, answer)) return std::nullopt;
  }
  return answer;
}

}  // namespace tern::search
