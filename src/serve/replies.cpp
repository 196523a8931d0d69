#include "serve/replies.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <random>

namespace tern {
namespace {

/// JSON that is valid UTF-8 whatever a token held.
std::string dump(const ReplyJson& json) {
  return json.dump(-1, ' ', false, ReplyJson::error_handler_t::replace);
}

/// JSON has no infinity; OpenAI says -9999 for what can't happen.
double finite(float logprob) {
  return std::isfinite(logprob) ? std::max(logprob, -9999.0f) : -9999.0;
}

/// `text` with each byte that is not part of a UTF-8 character replaced: as dump() would do, but usable as a
/// key.
std::string readable(std::string_view text) {
  const std::string quoted = dump(ReplyJson(std::string(text)));
  return ReplyJson::parse(quoted).get<std::string>();
}

ReplyJson bytes_json(std::string_view bytes) {
  ReplyJson list = ReplyJson::array();
  for (const char byte : bytes) list.push_back(static_cast<unsigned char>(byte));
  return list;
}

ReplyJson head_json(const ReplyHead& head, bool stream) {
  ReplyJson json;
  json["id"] = head.id;
  json["object"] = !head.chat ? "text_completion" : stream ? "chat.completion.chunk" : "chat.completion";
  json["created"] = head.created;
  json["model"] = head.model;
  return json;
}

std::string event_json(const ReplyHead& head, ReplyJson choice, const std::optional<ReplyJson>& usage) {
  ReplyJson json = head_json(head, true);
  json["choices"] = ReplyJson::array({std::move(choice)});
  if (usage) json["usage"] = *usage;
  return dump(json);
}

ReplyJson event_choice(const ReplyHead& head, int index, ReplyJson delta_or_text) {
  ReplyJson choice;
  choice["index"] = index;
  choice[head.chat ? "delta" : "text"] = std::move(delta_or_text);
  return choice;
}

ReplyJson whole_choice(const ReplyHead& head, int index, const ChoiceText& text) {
  ReplyJson choice;
  choice["index"] = index;
  if (head.chat) {
    ReplyJson message;
    message["role"] = "assistant";
    message["content"] = text.content;
    if (!text.reasoning.empty()) message["reasoning_content"] = text.reasoning;
    choice["message"] = std::move(message);
  } else {
    choice["text"] = text.content;
  }
  choice["logprobs"] = text.logprobs ? text.logprobs->json(head.chat) : ReplyJson(nullptr);
  choice["finish_reason"] = finish_name(text.reason);
  if (text.token_ids) choice["token_ids"] = *text.token_ids;
  if (!text.tern.is_null()) choice["tern"] = text.tern;
  return choice;
}

ReplyJson model_json(const std::string& model, int64_t created, int context) {
  ReplyJson json;
  json["id"] = model;
  json["object"] = "model";
  json["created"] = created;
  json["owned_by"] = "tern";
  json["max_model_len"] = context;
  return json;
}

}  // namespace

std::string new_reply_id(bool chat) {
  constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  static thread_local std::mt19937_64 random{std::random_device{}()};
  std::string id = chat ? "chatcmpl-" : "cmpl-";
  uint64_t number = random();
  for (int i = 0; i < 11; ++i, number /= kDigits.size()) id += kDigits[number % kDigits.size()];
  return id;
}

const char* finish_name(FinishReason reason) {
  return reason == FinishReason::length ? "length" : "stop";
}

const char* closed_name(ClosedBy by) {
  switch (by) {
    case ClosedBy::none:
      return "none";
    case ClosedBy::model:
      return "model";
    case ClosedBy::budget:
      return "budget";
    case ClosedBy::deadline:
      break;
  }
  return "deadline";
}

void Logprobs::add(const Tokenizer& tokenizer, const Sampled& sampled, bool thinking, size_t offset) {
  Entry entry{std::string(tokenizer.bytes(sampled.token)), sampled.logprob, {}, thinking, offset};
  for (const TokenLogprob& top : sampled.top) entry.top.emplace_back(tokenizer.bytes(top.token), top.logprob);
  entries_.push_back(std::move(entry));
}

void Logprobs::append(Logprobs&& later) {
  std::move(later.entries_.begin(), later.entries_.end(), std::back_inserter(entries_));
}

ReplyJson Logprobs::chat_entry(const Entry& entry) {
  const auto one = [](const std::string& token, float logprob) {
    ReplyJson json;
    json["token"] = token;
    json["logprob"] = finite(logprob);
    json["bytes"] = bytes_json(token);
    return json;
  };
  ReplyJson json = one(entry.token, entry.logprob);
  json["top_logprobs"] = ReplyJson::array();
  for (const auto& [token, logprob] : entry.top) json["top_logprobs"].push_back(one(token, logprob));
  return json;
}

ReplyJson Logprobs::completion_json() const {
  ReplyJson json;
  for (const char* key : {"tokens", "token_logprobs", "top_logprobs", "text_offset"})
    json[key] = ReplyJson::array();
  for (const Entry& entry : entries_) {
    ReplyJson top = ReplyJson::object();
    for (const auto& [token, logprob] : entry.top) top.emplace(readable(token), finite(logprob));
    json["tokens"].push_back(entry.token);
    json["token_logprobs"].push_back(finite(entry.logprob));
    json["top_logprobs"].push_back(std::move(top));
    json["text_offset"].push_back(entry.offset);
  }
  return json;
}

ReplyJson Logprobs::json(bool chat) const {
  if (!chat) return completion_json();
  ReplyJson json;
  json["content"] = ReplyJson::array();
  for (const Entry& entry : entries_)
    json[entry.thinking ? "reasoning_content" : "content"].push_back(chat_entry(entry));
  return json;
}

ReplyJson usage_json(const Usage& usage) {
  ReplyJson json;
  json["prompt_tokens"] = usage.prompt_tokens;
  json["completion_tokens"] = usage.completion_tokens;
  json["total_tokens"] = usage.prompt_tokens + usage.completion_tokens;
  json["completion_tokens_details"]["reasoning_tokens"] = usage.reasoning_tokens;
  return json;
}

std::string first_event(const ReplyHead& head, int choice, const std::optional<ReplyJson>& usage) {
  ReplyJson start = head.chat ? ReplyJson::object() : ReplyJson("");
  if (head.chat) {
    start["role"] = "assistant";
    start["content"] = "";
  }
  ReplyJson json = event_choice(head, choice, std::move(start));
  json["finish_reason"] = nullptr;
  return event_json(head, std::move(json), usage);
}

std::string text_event(const ReplyHead& head, int choice, std::string_view text, bool thinking,
                       const Logprobs* logprobs, const std::optional<ReplyJson>& usage) {
  ReplyJson piece = head.chat ? ReplyJson::object() : ReplyJson(text);
  if (head.chat) piece[thinking ? "reasoning_content" : "content"] = text;
  ReplyJson json = event_choice(head, choice, std::move(piece));
  if (logprobs) json["logprobs"] = logprobs->json(head.chat);
  json["finish_reason"] = nullptr;
  return event_json(head, std::move(json), usage);
}

ReplyJson timing_json(const FinishEvent& event) {
  const auto ms = [](double seconds) { return std::round(seconds * 1e4) / 10; };
  ReplyJson json;
  json["promised"] = event.promised;
  json["on_time"] = event.on_time ? ReplyJson(*event.on_time) : ReplyJson(nullptr);
  json["closed_by"] = closed_name(event.closed_by);
  json["thinking_tokens"] = event.usage.reasoning_tokens;
  json["answer_tokens"] = event.answer_tokens;
  json["predicted_ms"] = event.predicted_s ? ReplyJson(ms(*event.predicted_s)) : ReplyJson(nullptr);
  json["actual_ms"] = ms(event.timings.total_s);
  json["queue_ms"] = ms(event.timings.queue_s);
  json["first_token_ms"] = ms(event.timings.first_token_s);
  return json;
}

std::string finish_event(const ReplyHead& head, int choice, FinishReason reason, const ReplyJson& tern,
                         const std::optional<ReplyJson>& usage) {
  ReplyJson json = event_choice(head, choice, head.chat ? ReplyJson::object() : ReplyJson(""));
  json["finish_reason"] = finish_name(reason);
  if (!tern.is_null()) json["tern"] = tern;
  return event_json(head, std::move(json), usage);
}

std::string usage_event(const ReplyHead& head, const Usage& usage) {
  ReplyJson json = head_json(head, true);
  json["choices"] = ReplyJson::array();
  json["usage"] = usage_json(usage);
  return dump(json);
}

std::string whole_reply(const ReplyHead& head, std::span<const ChoiceText> choices, const Usage& usage) {
  ReplyJson json = head_json(head, false);
  json["choices"] = ReplyJson::array();
  for (size_t i = 0; i < choices.size(); ++i) {
    json["choices"].push_back(whole_choice(head, static_cast<int>(i), choices[i]));
  }
  json["usage"] = usage_json(usage);
  return dump(json);
}

std::string model_reply(const std::string& model, int64_t created, int context) {
  return dump(model_json(model, created, context));
}

std::string detokenize_reply(const std::string& text) {
  ReplyJson json;
  json["prompt"] = text;
  return dump(json);
}

std::string models_reply(const std::string& model, int64_t created, int context) {
  ReplyJson json;
  json["object"] = "list";
  json["data"] = ReplyJson::array({model_json(model, created, context)});
  return dump(json);
}

}  // namespace tern
