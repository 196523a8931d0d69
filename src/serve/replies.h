// The JSON of replies and stream events, in the shapes of OpenAI's API (reasoning_content as vLLM and
// DeepSeek have it).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/engine.h"

namespace tern {

using ReplyJson = nlohmann::ordered_json;

/// What every event of one request begins with.
struct ReplyHead {
  bool chat = true;  ///< chat.completion, else text_completion
  std::string id;
  int64_t created = 0;  ///< Unix seconds
  std::string model;
};

/// A fresh "chatcmpl-…" or "cmpl-…" id: 64 random bits in few characters, as each event repeats it.
std::string new_reply_id(bool chat);

/// "stop" or "length".
const char* finish_name(FinishReason reason);

/// "none", "model", "budget" or "deadline".
const char* closed_name(ClosedBy by);

/// The log-probabilities of one choice so far, or of one event.
class Logprobs {
 public:
  /// Adds a token that the client sees; `thinking` says on which side. `offset`: characters of the choice's
  /// text before it.
  void add(const Tokenizer& tokenizer, const Sampled& sampled, bool thinking, size_t offset);
  /// Adds those of a later part of the same choice.
  void append(Logprobs&& later);
  /// Chat: {"content": […]} and, where there are any, the thinking's under "reasoning_content".
  /// Completions: tokens, token_logprobs, top_logprobs, text_offset.
  ReplyJson json(bool chat) const;

 private:
  struct Entry {
    std::string token;
    float logprob;
    std::vector<std::pair<std::string, float>> top;
    bool thinking;
    size_t offset;
  };
  static ReplyJson chat_entry(const Entry& entry);
  ReplyJson completion_json() const;
  std::vector<Entry> entries_;
};

/// One choice of a reply that is not streamed.
struct ChoiceText {
  std::string reasoning, content;
  std::optional<Logprobs> logprobs;
  std::optional<std::vector<int32_t>> token_ids;  ///< where they were asked for
  FinishReason reason = FinishReason::stop;
  ReplyJson tern;  ///< timing_json()
};

ReplyJson usage_json(const Usage& usage);
/// What became of it: {"promised", "on_time", "closed_by", "thinking_tokens", "answer_tokens",
/// "predicted_ms", "actual_ms", "queue_ms", "first_token_ms"}. Without a deadline nothing was promised, and
/// on_time and predicted_ms are null.
ReplyJson timing_json(const FinishEvent& event);

/// Events of a stream; `usage` is what stands under "usage", nothing where the client did not ask for it.
std::string first_event(const ReplyHead& head, int choice, const std::optional<ReplyJson>& usage);
std::string text_event(const ReplyHead& head, int choice, std::string_view text, bool thinking,
                       const Logprobs* logprobs, const std::optional<ReplyJson>& usage);
std::string finish_event(const ReplyHead& head, int choice, FinishReason reason, const ReplyJson& tern,
                         const std::optional<ReplyJson>& usage);
/// The last event: no choices, the whole request's usage.
std::string usage_event(const ReplyHead& head, const Usage& usage);

/// The body of a reply that is not streamed.
std::string whole_reply(const ReplyHead& head, std::span<const ChoiceText> choices, const Usage& usage);

/// vLLM's reply of /detokenize. Bytes that are no UTF-8 become U+FFFD.
std::string detokenize_reply(const std::string& text);

std::string models_reply(const std::string& model, int64_t created, int context);
std::string model_reply(const std::string& model, int64_t created, int context);

}  // namespace tern
