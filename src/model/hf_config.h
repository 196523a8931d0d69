// config.json of a Hugging Face folder: numbers and switches, held to what their keys mean.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

/// One JSON object. A key that is null counts as absent. Every error names the file and the key.
class HfConfig {
 public:
  /// Throws Error{bad_input | limit} for text that is no JSON object, or one deeper or longer than any true
  /// one.
  static HfConfig parse(std::string_view text, std::string name);

  const std::string& name() const { return name_; }
  bool has(std::string_view key) const;
  /// Sizes and counts: whole numbers from `least` to 2^31 - 1. Throws Error{bad_input}.
  uint64_t get_uint(std::string_view key, uint64_t least = 1) const;
  uint64_t uint_or(std::string_view key, uint64_t fallback, uint64_t least = 0) const;
  /// Finite. Throws Error{bad_input}.
  double get_float(std::string_view key) const;
  double float_or(std::string_view key, double fallback) const;
  bool bool_or(std::string_view key, bool fallback) const;
  std::string string_or(std::string_view key, std::string fallback) const;
  /// Empty where absent. Throws Error{bad_input} for anything but an array of strings.
  std::vector<std::string> strings(std::string_view key) const;
  /// Whole numbers below 2^31; empty where absent. Throws Error{bad_input} for anything else.
  std::vector<uint64_t> uints(std::string_view key) const;
  /// The object under `key`; an empty one where absent.
  HfConfig section(std::string_view key) const;
  bool is_empty_array(std::string_view key) const;

  /// Throws Error{unsupported} saying that tern does not run this value of `key`.
  [[noreturn]] void refuse(std::string_view key, std::string_view what) const;
  /// Refuses unless the switch is absent or has this value.
  void expect(std::string_view key, bool value) const;
  void expect_text(std::string_view key, std::string_view value) const;
  void expect_number(std::string_view key, double value) const;

 private:
  HfConfig(std::string name, std::shared_ptr<const nlohmann::json> json);
  const nlohmann::json* find(std::string_view key) const;
  [[noreturn]] void fail_kind(std::string_view key, std::string_view expected) const;

  std::string name_;
  std::shared_ptr<const nlohmann::json> json_;
};

}  // namespace tern
