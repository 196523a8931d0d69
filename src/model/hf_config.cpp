#include "model/hf_config.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "files/printable.h"

namespace tern {
namespace {

using Json = nlohmann::json;

constexpr size_t most_bytes = size_t{4} << 20;
constexpr int most_depth = 32;
constexpr uint64_t most_number = std::numeric_limits<int32_t>::max();

Json parse_json(std::string_view text, const std::string& name) {
  if (text.size() > most_bytes) {
    fail(ErrorKind::limit, "{}: expected at most {} bytes, found {}", name, most_bytes, text.size());
  }
  const auto check_depth = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > most_depth) fail(ErrorKind::limit, "{}: nested deeper than {}", name, most_depth);
    return true;
  };
  try {
    return Json::parse(text, check_depth);
  } catch (const Json::exception& error) {
    fail(ErrorKind::bad_input, "{}: expected JSON: {}", name, error.what());
  }
}

std::string shown(const Json& value) {
  return printable(value.dump(-1, ' ', true, Json::error_handler_t::replace));
}

}  // namespace

HfConfig::HfConfig(std::string name, std::shared_ptr<const Json> json)
    : name_(std::move(name)), json_(std::move(json)) {}

HfConfig HfConfig::parse(std::string_view text, std::string name) {
  auto json = std::make_shared<const Json>(parse_json(text, name));
  if (!json->is_object()) fail(ErrorKind::bad_input, "{}: expected a JSON object", name);
  return HfConfig(std::move(name), std::move(json));
}

const Json* HfConfig::find(std::string_view key) const {
  const auto found = json_->find(key);
  return found == json_->end() || found->is_null() ? nullptr : &*found;
}

void HfConfig::fail_kind(std::string_view key, std::string_view expected) const {
  const Json* value = find(key);
  fail(ErrorKind::bad_input, "{}: {}: expected {}, found {}", name_, printable(key), expected,
       value ? shown(*value) : "no such key");
}

bool HfConfig::has(std::string_view key) const {
  return find(key) != nullptr;
}

uint64_t HfConfig::get_uint(std::string_view key, uint64_t least) const {
  const Json* value = find(key);
  const bool whole = value && value->is_number_unsigned();
  if (!whole || value->get<uint64_t>() < least || value->get<uint64_t>() > most_number) {
    fail_kind(key, fmt::format("a whole number from {} to {}", least, most_number));
  }
  return value->get<uint64_t>();
}

uint64_t HfConfig::uint_or(std::string_view key, uint64_t fallback, uint64_t least) const {
  return has(key) ? get_uint(key, least) : fallback;
}

double HfConfig::get_float(std::string_view key) const {
  const Json* value = find(key);
  if (!value || !value->is_number() || !std::isfinite(value->get<double>())) fail_kind(key, "a number");
  return value->get<double>();
}

double HfConfig::float_or(std::string_view key, double fallback) const {
  return has(key) ? get_float(key) : fallback;
}

bool HfConfig::bool_or(std::string_view key, bool fallback) const {
  const Json* value = find(key);
  if (value && !value->is_boolean()) fail_kind(key, "true or false");
  return value ? value->get<bool>() : fallback;
}

std::string HfConfig::string_or(std::string_view key, std::string fallback) const {
  const Json* value = find(key);
  if (value && !value->is_string()) fail_kind(key, "a string");
  return value ? value->get<std::string>() : fallback;
}

std::vector<std::string> HfConfig::strings(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return {};
  if (!value->is_array()) fail_kind(key, "an array of strings");
  std::vector<std::string> all;
  for (const Json& item : *value) {
    if (!item.is_string()) fail_kind(key, "an array of strings");
    all.push_back(item.get<std::string>());
  }
  return all;
}

std::vector<uint64_t> HfConfig::uints(std::string_view key) const {
  const Json* value = find(key);
  if (!value) return {};
  if (!value->is_array()) fail_kind(key, "an array of whole numbers");
  std::vector<uint64_t> all;
  for (const Json& item : *value) {
    if (!item.is_number_unsigned() || item.get<uint64_t>() > most_number)
      fail_kind(key, "an array of whole numbers");
    all.push_back(item.get<uint64_t>());
  }
  return all;
}

HfConfig HfConfig::section(std::string_view key) const {
  const Json* value = find(key);
  if (value && !value->is_object()) fail_kind(key, "an object");
  const std::string name = fmt::format("{}: {}", name_, printable(key));
  return HfConfig(name, std::make_shared<const Json>(value ? *value : Json::object()));
}

bool HfConfig::is_empty_array(std::string_view key) const {
  const Json* value = find(key);
  return value && value->is_array() && value->empty();
}

void HfConfig::refuse(std::string_view key, std::string_view what) const {
  const Json* value = find(key);
  fail(ErrorKind::unsupported, "{}: {} = {} is not supported: {}", name_, key,
       value ? shown(*value) : "(absent)", what);
}

void HfConfig::expect(std::string_view key, bool value) const {
  if (bool_or(key, value) != value) refuse(key, fmt::format("tern runs {} only", value));
}

void HfConfig::expect_text(std::string_view key, std::string_view value) const {
  if (string_or(key, std::string(value)) != value) refuse(key, fmt::format("tern runs \"{}\" only", value));
}

void HfConfig::expect_number(std::string_view key, double value) const {
  if (float_or(key, value) != value) refuse(key, fmt::format("tern runs {} only", value));
}

}  // namespace tern
