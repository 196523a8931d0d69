#include "serve/json_fields.h"

namespace tern {
namespace {

/// Throws where a body nests too deeply, has too many values, or holds a NUL, which the parser would take for
/// its end. Only counts: whether it is JSON at all is the parser's question.
void check_shape(std::string_view text) {
  int depth = 0, values = 1;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\0') refuse("", "invalid_json", "The body holds a NUL byte at {}.", i);
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    if (c == '"') in_string = true;
    if (c == ',') ++values;
    if (c == '[' || c == '{') ++depth;
    if (c == ']' || c == '}') --depth;
    if (depth > kMaxJsonDepth)
      refuse("", "invalid_json", "The body nests deeper than {} levels.", kMaxJsonDepth);
    if (values > kMaxJsonValues)
      refuse("", "invalid_json", "The body has more than {} values.", kMaxJsonValues);
  }
}

/// nlohmann's message without its own name in front, and not longer than a line or two.
std::string parser_message(const char* what) {
  std::string_view message = what;
  const size_t after_id = message.find("] ");
  if (after_id != std::string_view::npos) message.remove_prefix(after_id + 2);
  return std::string(message.substr(0, 200));
}

const char* type_name(const RequestJson& value) {
  if (value.is_number_integer()) return "an integer";
  if (value.is_number()) return "a number with a fraction";
  if (value.is_string()) return "a string";
  if (value.is_boolean()) return "a boolean";
  if (value.is_array()) return "an array";
  if (value.is_object()) return "an object";
  return "null";
}

}  // namespace

RequestJson parse_json_object(std::string_view body) {
  check_shape(body);
  RequestJson value;
  try {
    value = RequestJson::parse(body);
  } catch (const RequestJson::exception& error) {
    refuse("", "invalid_json", "The body is not valid JSON in UTF-8: {}", parser_message(error.what()));
  }
  if (!value.is_object())
    refuse("", "invalid_json", "The body must be a JSON object, not {}.", type_name(value));
  return value;
}

void refuse_type(const std::string& param, const char* expected, const RequestJson& found) {
  refuse(param, "invalid_type", "Invalid type for '{}': expected {}, but got {} instead.", param, expected,
         type_name(found));
}

const RequestJson* Fields::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<bool> Fields::boolean(const char* key) const {
  const RequestJson* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_boolean()) refuse_type(name(key), "a boolean", *value);
  return value->get<bool>();
}

std::optional<int64_t> Fields::integer(const char* key, int64_t low, int64_t high) const {
  const RequestJson* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_number_integer()) refuse_type(name(key), "an integer", *value);
  const bool beyond =
      value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX);
  const int64_t number = beyond ? INT64_MAX : value->get<int64_t>();
  if (number < low || number > high || beyond) {
    refuse(name(key), "invalid_value",
           "Invalid value for '{}': expected an integer from {} to {}, but got {} instead.", name(key), low,
           high, value->dump());
  }
  return number;
}

std::optional<double> Fields::number(const char* key, double low, double high) const {
  const RequestJson* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_number()) refuse_type(name(key), "a number", *value);
  const double number = value->get<double>();
  if (!(number >= low && number <= high)) {
    refuse(name(key), "invalid_value",
           "Invalid value for '{}': expected a number from {} to {}, but got {} instead.", name(key), low,
           high, value->dump());
  }
  return number;
}

std::optional<std::string> Fields::string(const char* key) const {
  const RequestJson* value = find(key);
  if (!value) return std::nullopt;
  if (!value->is_string()) refuse_type(name(key), "a string", *value);
  return value->get<std::string>();
}

const RequestJson* Fields::object(const char* key) const {
  const RequestJson* value = find(key);
  if (value && !value->is_object()) refuse_type(name(key), "an object", *value);
  return value;
}

const RequestJson* Fields::array(const char* key) const {
  const RequestJson* value = find(key);
  if (value && !value->is_array()) refuse_type(name(key), "an array", *value);
  return value;
}

}  // namespace tern
