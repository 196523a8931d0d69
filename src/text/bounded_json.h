// JSON of files that nobody checked: nesting, values and bytes are bounded before there is a tree of them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace tern {

using Json = nlohmann::json;

/// Throws Error{bad_input} where it is no JSON, Error{limit} for more than 64 levels or a million values;
/// both name `name`.
Json parse_bounded_json(std::string_view text, const std::string& name);

/// A tokenizer.json, its two long parts apart from the tree.
struct TokenizerJson {
  Json rest;                                                ///< without model.vocab and model.merges
  std::vector<std::pair<std::string, int64_t>> vocab;       ///< as they stand in the file
  std::vector<std::pair<std::string, std::string>> merges;  ///< from "a b" or ["a", "b"]
};

/// Throws as parse_bounded_json.
TokenizerJson parse_tokenizer_tree(std::string_view text, const std::string& name);

}  // namespace tern
