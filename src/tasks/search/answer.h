// The canonical answer to a shop query: one struct, one JSON text, e.g.
// {"intent":"find","types":["sneaker"],"brands":["velora"],"colours":["red"],"max":6000,"sort":"cheap"}
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tern::search {

enum class Intent { find, compare, support, off_topic };

/// Identifiers are the ids of world.h, sorted; every set may be empty. Prices are integer cents.
struct Answer {
  Intent intent = Intent::find;
  std::vector<std::string> types;
  std::vector<std::string> brands;
  std::vector<std::string> colours;
  std::vector<std::string> materials;
  std::vector<std::string> sizes;
  std::string audience;
  std::vector<std::string> excluded;  ///< colours, materials and brands that are not wanted; the key is "not"
  std::optional<int64_t> min_price;
  std::optional<int64_t> max_price;
  std::string sort;
  std::string note;  ///< what is ambiguous or contradictory, e.g. "ambiguous:brand"; empty where nothing is

  bool operator==(const Answer&) const = default;
};

std::string_view intent_name(Intent intent);

/// Compact JSON: fixed key order, empty keys left out, sets sorted. Two equal answers have equal texts.
std::string to_json(const Answer& answer);

/// The answer in `text`, sets sorted; nothing where it is not exactly one JSON object with known keys of the
/// right types, each once, none empty. Any key order is accepted.
std::optional<Answer> parse_answer(std::string_view text);

}  // namespace tern::search
