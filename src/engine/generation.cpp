#include "engine/generation.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace tern {
namespace {

constexpr size_t kMostStops = 64;      // each costs work on every byte of the answer
constexpr size_t kLongestStop = 1024;  // bytes; as many may be held back

void check_prompt(const std::vector<int32_t>& prompt, const GenerationLimits& limits) {
  if (prompt.empty()) fail(ErrorKind::bad_input, "prompt: expected at least one token");
  if (prompt.size() >= static_cast<size_t>(limits.context))
    fail(ErrorKind::bad_input, "prompt: {} tokens and a reply don't fit into a context of {}", prompt.size(),
         limits.context);
  for (const int32_t token : prompt) {
    if (token < 0 || token >= limits.vocab)
      fail(ErrorKind::bad_input, "prompt: token {}, expected 0 to {}", token, limits.vocab - 1);
  }
}

void check_stops(const std::vector<std::string>& stops) {
  if (stops.size() > kMostStops)
    fail(ErrorKind::bad_input, "stop: {} strings, at most {} are taken", stops.size(), kMostStops);
  for (const std::string& stop : stops) {
    if (stop.empty()) fail(ErrorKind::bad_input, "stop: a string is empty");
    if (stop.size() > kLongestStop)
      fail(ErrorKind::bad_input, "stop: a string of {} bytes, at most {} are taken", stop.size(),
           kLongestStop);
  }
}

GenerateRequest checked(GenerateRequest request, const GenerationLimits& limits) {
  check_prompt(request.prompt, limits);
  check_stops(request.stop);
  if (request.max_tokens < 0)
    fail(ErrorKind::bad_input, "max_tokens: expected 0 (as far as the context reaches) or more, found {}",
         request.max_tokens);
  return request;
}

/// Where the reply begins: the prompt may have opened the thinking, or opened and closed it.
ThinkingBudget::Side start_side(const GenerateRequest& request, ThinkingTokens markers) {
  if (request.starts_thinking) return ThinkingBudget::Side::thinking;
  if (request.prompt.back() == markers.close) return ThinkingBudget::Side::answer;
  return ThinkingBudget::Side::unsaid;
}

}  // namespace

Generation::Generation(RequestId id, GenerateRequest request, std::shared_ptr<EventSink> sink,
                       const Tokenizer& tokenizer, const GenerationLimits& limits)
    : id_(id),
      request_(checked(std::move(request), limits)),
      sink_(std::move(sink)),
      tokenizer_(&tokenizer),
      limits_(limits),
      markers_(thinking_tokens(tokenizer)),
      thinking_(markers_, start_side(request_, markers_), request_.thinking_budget),
      sampler_(request_.sampling, request_.top_logprobs),
      stops_(request_.stop) {
  usage_.prompt_tokens = static_cast<int>(request_.prompt.size());
  const int room = limits.context - usage_.prompt_tokens;
  max_tokens_ = request_.max_tokens == 0 ? room : std::min(request_.max_tokens, room);
}

std::span<const int32_t> Generation::next() const {
  if (!in_prompt()) return {&last_, 1};
  const int piece_end = (cached_ / limits_.prompt_piece + 1) * limits_.prompt_piece;
  const int end = std::min(piece_end, usage_.prompt_tokens);
  return std::span(request_.prompt).subspan(cached_, end - cached_);
}

bool Generation::wants_logits() const {
  return cached_ + static_cast<int>(next().size()) >= usage_.prompt_tokens;
}

void Generation::advance() {
  cached_ += static_cast<int>(next().size());
}

void Generation::choose(std::span<float> logits) {
  const bool was_thinking = thinking_.thinking();
  Sampled sampled = sampler_.sample(logits.first(limits_.vocab), &thinking_);
  if (!first_token_) first_token_ = Clock::now();
  last_ = sampled.token;
  ++usage_.completion_tokens;
  usage_.reasoning_tokens = thinking_.thought();

  TokenEvent event;
  event.token = last_;
  event.thinking = was_thinking || thinking_.thinking();
  event.text = text_of(last_, was_thinking);
  if (request_.top_logprobs >= 0) event.logprobs = std::move(sampled);
  done_ = reason_to_end();
  sink_->on_token(event);
}

/// The text that a token completes. Markers, control tokens and ends of generation have none of their own.
std::string Generation::text_of(int32_t token, bool was_thinking) {
  const bool closes = was_thinking && !thinking_.thinking();
  if (closes) return characters_.finish();  // a character cut off by the marker still belongs to the thinking
  const bool marker = token == markers_.open || token == markers_.close;
  const bool control = tokenizer_->vocabulary().types[token] == TokenType::control;
  if (marker || control || tokenizer_->is_end_of_generation(token)) return {};
  std::string text = characters_.push(tokenizer_->bytes(token));
  return was_thinking ? text : stops_.push(text);
}

std::optional<FinishReason> Generation::reason_to_end() const {
  const bool ended = tokenizer_->is_end_of_generation(last_) && !request_.ignore_eos;
  if (ended || stops_.stopped()) return FinishReason::stop;
  if (usage_.completion_tokens >= max_tokens_) return FinishReason::length;
  return std::nullopt;
}

void Generation::finish(FinishReason reason, const std::string& error) {
  const TimePoint now = Clock::now();
  FinishEvent event;
  event.reason = reason;
  event.thinking = thinking_.thinking();
  event.text = characters_.finish();
  if (!event.thinking) event.text = stops_.push(event.text) + stops_.finish();
  event.error = error;
  event.usage = usage_;
  event.timings.first_token_s = first_token_ ? seconds_between(request_.arrived, *first_token_) : 0;
  event.timings.total_s = seconds_between(request_.arrived, now);
  try {
    sink_->on_finish(event);
  } catch (...) {
    // A sink may not throw; one that does has lost its own news and nobody else's.
  }
}

}  // namespace tern
