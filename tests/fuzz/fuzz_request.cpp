// Any bytes as the body of a request: refused by an ApiError whose JSON is well formed, or parsed into
// numbers inside their limits.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string_view>

#include "serve/api_error.h"
#include "serve/openai.h"
#include "tests/fuzz/require.h"

namespace tern {
namespace {

void check_common(const CommonFields& fields) {
  require(fields.n >= 1 && fields.n <= kMaxN, "n");
  require(!fields.max_tokens || *fields.max_tokens >= 1, "max_tokens");
  require(!fields.temperature || (std::isfinite(*fields.temperature) && *fields.temperature >= 0),
          "temperature");
  require(fields.top_p >= 0 && fields.top_p <= 1, "top_p");
  require(fields.min_p >= 0 && fields.min_p <= 1, "min_p");
  require(fields.top_k >= 0, "top_k");
  require(fields.top_logprobs >= -1 && fields.top_logprobs <= kMaxTopLogprobs, "top_logprobs");
  require(fields.stop.size() <= kMaxStops, "stop");
  require(fields.stop_tokens.size() <= kMaxStopTokens, "stop_token_ids");
  for (const int32_t token : fields.stop_tokens) require(token >= 0, "a stop token");
  require(fields.stream_interval_ms >= 0 && fields.stream_interval_ms <= kMaxIntervalMs,
          "stream_interval_ms");
  for (const std::string& stop : fields.stop) {
    require(!stop.empty() && stop.size() <= kMaxStopBytes, "length of a stop string");
  }
}

void check_chat(std::string_view body) {
  const ChatRequest request = parse_chat_request(body);
  check_common(request);
  require(!request.messages.empty(), "messages");
  for (const ChatMessage& message : request.messages) {
    require(message.role == "system" || message.role == "user" || message.role == "assistant" ||
                message.role == "tool",
            "role");
  }
  require(!request.thinking_budget || *request.thinking_budget >= 0, "thinking_budget");
  require(request.closing_line.size() <= kMaxClosingBytes, "thinking_closing_line");
}

void check_tokenize(std::string_view body) {
  const TokenizeRequest request = parse_tokenize_request(body);
  require(!request.chat || (request.prompt.empty() && !request.chat->messages.empty()), "prompt or messages");
}

void check_detokenize(std::string_view body) {
  for (const int32_t token : parse_detokenize_request(body).tokens) require(token >= 0, "tokens");
}

void check_completion(std::string_view body) {
  const CompletionRequest request = parse_completion_request(body);
  check_common(request);
  require(!request.prompts.empty() && request.prompts.size() <= kMaxPrompts, "prompts");
}

template <typename Check>
void parse_or_refuse(Check check, std::string_view body) {
  try {
    check(body);
  } catch (const ApiError& error) {
    require(error.status() >= 400 && error.status() < 500, "the client's fault");
    const auto json = nlohmann::json::parse(error.json());
    require(json.at("error").at("message").is_string(), "an error object");
  }
}

}  // namespace
}  // namespace tern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  tern::parse_or_refuse(tern::check_chat, body);
  tern::parse_or_refuse(tern::check_completion, body);
  tern::parse_or_refuse(tern::check_tokenize, body);
  tern::parse_or_refuse(tern::check_detokenize, body);
  return 0;
}
