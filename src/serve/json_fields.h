// Request JSON that can't be trusted: bounded parsing, and fields read with strict types and ranges.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "serve/api_error.h"

namespace tern {

/// Requests are parsed into maps: ordered_json looks a key up by walking, so 4 MiB of keys would take
/// minutes.
using RequestJson = nlohmann::json;

/// Deepest nesting of arrays and objects in a request.
inline constexpr int kMaxJsonDepth = 64;
/// Most values in a request: some prompts' token ids, and no more than a fraction of a second's parsing.
inline constexpr int kMaxJsonValues = 1 << 18;

/// Parses a body that must be one JSON object in UTF-8. Of equal keys the last one counts.
/// Throws ApiError 400 for anything else, deeper nesting, more values, or numbers out of double's range.
RequestJson parse_json_object(std::string_view body);

/// Reads known fields of one object. null counts as absent. Every method throws ApiError 400 that names the
/// field, what was expected and what was found.
class Fields {
 public:
  /// `path` stands before the field's name in errors, e.g. "messages[2]."; both must outlive this.
  explicit Fields(const RequestJson& object, std::string path = "")
      : object_(object), path_(std::move(path)) {}

  const RequestJson* find(const char* key) const;
  std::optional<bool> boolean(const char* key) const;
  /// An integer in [low, high]; a number with a point or an exponent is refused.
  std::optional<int64_t> integer(const char* key, int64_t low, int64_t high) const;
  std::optional<double> number(const char* key, double low, double high) const;
  std::optional<std::string> string(const char* key) const;
  const RequestJson* object(const char* key) const;
  const RequestJson* array(const char* key) const;

  std::string name(const char* key) const { return path_ + key; }

 private:
  const RequestJson& object_;
  std::string path_;
};

/// Throws the ApiError of a field that has the wrong type.
[[noreturn]] void refuse_type(const std::string& param, const char* expected, const RequestJson& found);

}  // namespace tern
