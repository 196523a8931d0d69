// The requests of OpenAI's API as plain data: what tern understands of them, checked field by field.
// Fields tern does not know are ignored, as OpenAI's own servers do; fields that it knows but can't honour
// are refused.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/promises.h"
#include "serve/api_error.h"
#include "text/chat.h"

namespace tern {

inline constexpr int kMaxN = 16;            ///< `n`
inline constexpr int kMaxPrompts = 64;      ///< prompts of one completion request
inline constexpr int kMaxStops = 4;         ///< `stop`
inline constexpr int kMaxStopBytes = 1024;  ///< of one stop string
inline constexpr int kMaxTopLogprobs = 20;
inline constexpr int kMaxDeadlineMs = 3'600'000;
inline constexpr int kMaxBiases = 300;  ///< `logit_bias`

/// What chat and completion requests have in common.
struct CommonFields {
  std::optional<std::string> model;
  bool stream = false;
  bool include_usage = false;     ///< stream_options: usage in one last chunk
  bool continuous_usage = false;  ///< stream_options, vLLM's continuous_usage_stats: usage in every chunk
  int n = 1;
  std::optional<int> max_tokens;  ///< at least 1
  std::optional<float> temperature;
  float top_p = 1.0f;
  int top_k = 0;  ///< 0: all
  float min_p = 0.0f;
  float presence_penalty = 0.0f, frequency_penalty = 0.0f, repetition_penalty = 1.0f;
  std::vector<std::pair<int32_t, float>> logit_bias;  ///< by token id, at most kMaxBiases
  std::optional<uint64_t> seed;
  std::vector<std::string> stop;
  bool ignore_eos = false;
  int top_logprobs = -1;           ///< -1: no logprobs
  std::optional<int> deadline_ms;  ///< from the request's first byte: when the answer is to be complete
  LatePolicy late = LatePolicy::refuse;
  int answer_reserve = 0;         ///< answer_reserve_tokens: kept for the answer; 0: what answers take
  bool return_token_ids = false;  ///< vLLM's: the reply's token ids beside its text
};

struct ChatRequest : CommonFields {
  std::vector<ChatMessage> messages;  ///< roles system, user, assistant and tool; at least one
  /// What the chat template sees: chat_template_kwargs, messages (all their keys; content as one string or
  /// none, the arguments of tool calls as objects), tools and documents where there are any.
  jinja::Dict variables;
  std::optional<Thinking> thinking;    ///< from reasoning_effort or chat_template_kwargs.enable_thinking
  std::optional<int> thinking_budget;  ///< thinking_budget_tokens
};

/// Text, or token ids that are not checked against a vocabulary yet.
using PromptInput = std::variant<std::string, std::vector<int32_t>>;

struct CompletionRequest : CommonFields {
  std::vector<PromptInput> prompts;  ///< at least one
};

/// The header's value. Throws ApiError 400 for anything but 1 to kMaxDeadlineMs.
int parse_deadline_ms(std::string_view text);

/// The body of POST /v1/chat/completions. Throws ApiError, nothing else but std::bad_alloc, on any bytes.
ChatRequest parse_chat_request(std::string_view body);

/// The body of POST /v1/completions. Throws as parse_chat_request.
CompletionRequest parse_completion_request(std::string_view body);

}  // namespace tern
