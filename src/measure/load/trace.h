// Traces: when which request came, to be replayed.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace tern::load {

/// One line of a trace, a JSON object:
///   at_ms        number from 0 to 604,800,000: when it is due, from the trace's begin
/// and either
///   request      an OpenAI request body, sent as it is but for what a measurement needs (stream, model)
/// or any of
///   prompt       a string; without one, the prompts of the command line are used
///   max_tokens   1 to 1,000,000
///   deadline_ms  1 to 3,600,000
/// Other keys are an error, so that a misspelt one doesn't pass.
struct TraceLine {
  double at_s = 0;
  nlohmann::json request;  ///< merged over what the options ask for; null: nothing
  std::string prompt;      ///< empty: none
};

/// Reads JSON lines, ordered by at_ms; blank lines are passed over. At most 64 MiB and a million lines.
/// Throws Error{bad_input | limit} naming `name`, the line and what was expected.
std::vector<TraceLine> parse_trace(std::string_view text, const std::string& name);

}  // namespace tern::load
