// What one event of an OpenAI stream, or a whole reply, says that a measurement wants to know.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tern::load {

struct TokenUsage {
  uint64_t prompt = 0, completion = 0, reasoning = 0;
};

/// What the server itself says of a deadline (`tern` of a choice).
struct ServerWord {
  bool promised = false, on_time = false;
};

struct StreamEvent {
  bool thinking = false;  ///< has text of the thinking: reasoning_content, or vLLM's reasoning
  bool answer = false;    ///< has text of the answer: content; in completions text
  std::string finish;     ///< a finish_reason; where choices differ, one that isn't "stop"
  std::optional<TokenUsage> usage;
  std::optional<ServerWord> tern;
  std::optional<std::string> error;  ///< an error object's message, at most 200 bytes of it
};

/// Reads one event's JSON without building it. Throws Error{bad_input} for what is not JSON or no object,
/// Error{limit} beyond 64 levels.
StreamEvent read_event(std::string_view json);

}  // namespace tern::load
