// The requests of a load, each made from its number and the seed alone.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "measure/load/options.h"

namespace tern::load {

struct LoadRequest {
  bool chat = true;
  nlohmann::ordered_json body;     ///< as OpenAI has it
  std::optional<int> deadline_ms;  ///< also in the body
};

class RequestMaker {
 public:
  /// The options must outlive it. Throws Error{bad_input} where there is no prompt.
  RequestMaker(const LoadOptions& options, std::string model);
  /// Number i: the same whatever came before.
  LoadRequest make(uint64_t i) const;

 private:
  const LoadOptions& options_;
  nlohmann::ordered_json common_;
};

/// Lines of a file that are not blank, each a prompt. Throws Error{bad_input} naming `name` where there is
/// none.
std::vector<std::string> prompts_of_lines(std::string_view text, const std::string& name);
/// Texts of so many words by the seed; no two begin alike, so that no cache of prefixes helps.
std::vector<std::string> synthetic_prompts(int words, size_t count, uint64_t seed);
/// Queries of the search task's dev split, its noise from 0 to 3.
std::vector<std::string> search_prompts(size_t count);

}  // namespace tern::load
