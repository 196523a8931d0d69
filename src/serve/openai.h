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
#include "serve/efforts.h"
#include "text/chat.h"

namespace tern {

inline constexpr int kMaxN = 16;            ///< `n`
inline constexpr int kMaxPrompts = 64;      ///< prompts of one completion request
inline constexpr int kMaxStops = 4;         ///< `stop`
inline constexpr int kMaxStopBytes = 1024;  ///< of one stop string
inline constexpr int kMaxTopLogprobs = 20;
inline constexpr int kMaxDeadlineMs = 3'600'000;
inline constexpr int kMaxBiases = 300;  ///< `logit_bias`
inline constexpr int kMaxStopTokens = 64;
inline constexpr int kMaxIntervalMs = 10'000;  ///< `stream_interval_ms`
inline constexpr int kMaxClosingBytes = 256;   ///< `thinking_closing_line`
inline constexpr const char* kClosingLine = "\n\nTime is short, so I answer now.\n";

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
  std::vector<int32_t> stop_tokens;  ///< stop_token_ids
  bool ignore_eos = false;
  int top_logprobs = -1;           ///< -1: no logprobs
  std::optional<int> deadline_ms;  ///< from the request's first byte: when the answer is to be complete
  LatePolicy late = LatePolicy::refuse;
  int answer_reserve = 0;         ///< answer_reserve_tokens: kept for the answer; 0: what answers take
  bool return_token_ids = false;  ///< vLLM's: the reply's token ids beside its text
  bool include_thinking = true;   ///< false: it is counted, but not given out
  int stream_interval_ms = 0;     ///< text is gathered for so long; 0: each token by itself
};

struct ChatRequest : CommonFields {
  std::vector<ChatMessage> messages;  ///< roles system, user, assistant and tool; at least one
  /// What the chat template sees: chat_template_kwargs, messages (all their keys; content as one string or
  /// none, the arguments of tool calls as objects), tools and documents where there are any.
  jinja::Dict variables;
  std::optional<Thinking> thinking;    ///< from reasoning_effort or chat_template_kwargs.enable_thinking
  std::optional<Effort> effort;        ///< reasoning_effort
  std::optional<int> thinking_budget;  ///< thinking_budget_tokens
  std::string closing_line;            ///< thinking_closing_line; empty: none
};

/// Text, or token ids that are not checked against a vocabulary yet.
using PromptInput = std::variant<std::string, std::vector<int32_t>>;

struct CompletionRequest : CommonFields {
  std::vector<PromptInput> prompts;  ///< at least one
  bool add_special_tokens = true;    ///< the begin token before a text that hasn't got it
};

/// The body of POST /tokenize: a text, or a conversation.
struct TokenizeRequest {
  std::optional<std::string> model;
  std::string prompt;
  std::optional<ChatRequest> chat;  ///< where it has messages: those and what the template sees of them
  bool add_special_tokens = true;  ///< the begin token, unless it is there; in a conversation not the default
  bool return_token_strs = false;
};

/// The body of POST /detokenize.
struct DetokenizeRequest {
  std::optional<std::string> model;
  std::vector<int32_t> tokens;  ///< not checked against a vocabulary yet
};

/// The header's value. Throws ApiError 400 for anything but 1 to kMaxDeadlineMs.
int parse_deadline_ms(std::string_view text);

/// The body of POST /v1/chat/completions. Throws ApiError, nothing else but std::bad_alloc, on any bytes.
ChatRequest parse_chat_request(std::string_view body);

/// The body of POST /v1/completions. Throws as parse_chat_request.
CompletionRequest parse_completion_request(std::string_view body);

/// The bodies of POST /tokenize and /detokenize, as vLLM has them. Throw as parse_chat_request.
TokenizeRequest parse_tokenize_request(std::string_view body);
DetokenizeRequest parse_detokenize_request(std::string_view body);

}  // namespace tern
