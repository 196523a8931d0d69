#include "engine/generation.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"

namespace tern {
namespace {

constexpr size_t kMostStops = 64;      // each costs work on every byte of the answer
constexpr size_t kLongestLine = 256;   // bytes
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

/// The closing line's tokens. A marker in it would close the thinking in its middle.
std::vector<int32_t> closing_line(const GenerateRequest& request, const ChatFormat& format) {
  const std::string& line =
      request.closing_line.empty() ? format.tokenizer().vocabulary().closing_line : request.closing_line;
  if (line.size() > kLongestLine)
    fail(ErrorKind::bad_input, "closing_line: {} bytes, at most {} are taken", line.size(), kLongestLine);
  for (const ReasoningMarker* marker : format.reasoning().markers()) {
    if (line.find(marker->text) != std::string::npos)
      fail(ErrorKind::bad_input, "closing_line: it holds a marker of thinking, {}", marker->text);
  }
  return format.tokenizer().encode(line, false);
}

void check_bias(const std::vector<std::pair<int32_t, float>>& bias, int vocab) {
  for (const auto& [token, value] : bias) {
    if (token < 0 || token >= vocab)
      fail(ErrorKind::bad_input, "logit_bias: token {}, expected 0 to {}", token, vocab - 1);
  }
}

GenerateRequest checked(GenerateRequest request, const GenerationLimits& limits) {
  check_prompt(request.prompt, limits);
  check_stops(request.stop);
  check_bias(request.sampling.logit_bias, limits.vocab);
  if (request.max_tokens < 0)
    fail(ErrorKind::bad_input, "max_tokens: expected 0 (as far as the context reaches) or more, found {}",
         request.max_tokens);
  return request;
}

/// Where the reply begins: the prompt may have opened the thinking, opened and closed it, or stand before the
/// header of a channel.
ReasoningSplit::Side start_side(const GenerateRequest& request, const ReasoningFormat& format) {
  using Side = ReasoningSplit::Side;
  if (request.starts_thinking) {
    if (format.scheme == ReasoningScheme::none)
      fail(ErrorKind::unsupported, "thinking: this model has no markers of it, such as <think> and </think>");
    return Side::thinking;
  }
  if (format.scheme != ReasoningScheme::channels)
    return request.prompt.back() == format.close.id ? Side::answer : Side::unsaid;
  for (auto id = request.prompt.rbegin(); id != request.prompt.rend(); ++id) {
    if (*id == format.start.id || *id == format.channel.id) return Side::unsaid;
    if (*id == format.message.id || *id == format.end.id) break;
  }
  return Side::answer;
}

}  // namespace

Generation::Generation(RequestId id, GenerateRequest request, std::shared_ptr<EventSink> sink,
                       const ChatFormat& format, const GenerationLimits& limits)
    : id_(id),
      request_(checked(std::move(request), limits)),
      sink_(std::move(sink)),
      format_(&format),
      limits_(limits),
      split_(format.reasoning(), start_side(request_, format.reasoning())),
      thinking_(format.reasoning(), split_, request_.thinking_budget, closing_line(request_, format)),
      sampler_(request_.sampling, request_.top_logprobs, request_.prompt),
      stops_(request_.stop) {
  usage_.prompt_tokens = static_cast<int>(request_.prompt.size());
  const int room = limits.context - usage_.prompt_tokens;
  max_tokens_ = request_.max_tokens == 0 ? room : std::min(request_.max_tokens, room);
  tokens_ = std::move(request_.prompt);
}

std::span<const int32_t> Generation::next(size_t most) const {
  if (!in_prompt()) return tokens().last(1);
  const int piece = limits_.prompt_piece, reach = cached_ + static_cast<int>(most);
  if (reach >= prompt_tokens()) return prompt_to_come();
  const int first_end = (cached_ / piece + 1) * piece, last_end = reach / piece * piece;
  return tokens().subspan(cached_, std::min(std::max(first_end, last_end), prompt_tokens()) - cached_);
}

bool Generation::wants_logits(size_t fed) const {
  return cached_ + static_cast<int>(fed) >= usage_.prompt_tokens;
}

void Generation::predict(double seconds) {
  if (std::isfinite(seconds)) predicted_s_ = seconds_between(request_.arrived, limits_.clock()) + seconds;
}

void Generation::advance(size_t fed) {
  cached_ += static_cast<int>(fed);
}

void Generation::choose(std::span<float> logits) {
  const bool was_thinking = split_.thinking();
  Sampled sampled = sampler_.sample(logits.first(limits_.vocab), &thinking_);
  if (!first_token_) first_token_ = limits_.clock();
  const int32_t token = sampled.token;
  if (winding_down_ && ending_.behind_sentence() && !format_->ends_reply(token) && !is_stop_token(token)) {
    done_ = FinishReason::length;  // the model would go on; nobody is told with what
    return;
  }
  tokens_.push_back(token);
  split_.push(token, shown(token), pending_);
  ++usage_.completion_tokens;
  if (!was_thinking && split_.side() == ReasoningSplit::Side::answer) ++answered_;
  usage_.reasoning_tokens = split_.thought();

  TokenEvent event;
  event.token = token;
  event.thinking = was_thinking || split_.thinking();
  tell(event);
  if (request_.top_logprobs >= 0) event.logprobs = std::move(sampled);
  done_ = reason_to_end();
  sink_->on_token(event);
}

bool Generation::is_stop_token(int32_t token) const {
  return std::find(request_.stop_tokens.begin(), request_.stop_tokens.end(), token) !=
         request_.stop_tokens.end();
}

/// Control tokens, ends of generation and stop tokens have no text of their own.
std::string_view Generation::shown(int32_t token) const {
  const Tokenizer& tokenizer = format_->tokenizer();
  const bool control = tokenizer.vocabulary().types[token] == TokenType::control;
  if (control || format_->ends_reply(token) || is_stop_token(token)) return {};
  return tokenizer.bytes(token);
}

/// Moves what is pending into an event, up to the first text of the other side or after a marker: it waits
/// for the next event.
void Generation::tell(TokenEvent& event) {
  bool has_text = false;
  size_t told = 0;
  for (; told < pending_.size(); ++told) {
    const ReasoningSplit::Piece& piece = pending_[told];
    if (piece.kind == ReasoningSplit::Piece::Kind::marker) {
      event.marker += piece.text;
      continue;
    }
    const bool thinks = piece.kind == ReasoningSplit::Piece::Kind::thinking;
    if (!event.marker.empty() || (has_text && thinks != event.thinking)) break;
    event.thinking = thinks;
    if (thinks) {
      event.text += piece.text;
    } else {
      const std::string shown = stops_.push(piece.text);
      ending_.push(shown);
      event.text += shown;
    }
    has_text = true;
  }
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(told));
}

std::optional<FinishReason> Generation::reason_to_end() const {
  const bool ended = (format_->ends_reply(tokens_.back()) || split_.ended()) && !request_.ignore_eos;
  if (ended || stops_.stopped() || is_stop_token(tokens_.back())) return FinishReason::stop;
  if (usage_.completion_tokens >= max_tokens_) return FinishReason::length;
  if (winding_down_ && ending_.whole_json()) return FinishReason::stop;
  if (promised_ && limits_.clock() >= request_.deadline->at) return FinishReason::length;
  return std::nullopt;
}

int Generation::reserve(double answer_tokens) const {
  const int reserved = request_.deadline ? request_.deadline->answer_tokens : 0;
  return reserved > 0 ? reserved : static_cast<int>(std::ceil(answer_tokens));
}

int Generation::steps_left(double answer_tokens) const {
  const int steps = thinking_.closing_left() + std::max(1, reserve(answer_tokens) - answered_);
  return std::clamp(steps, 1, std::max(1, most_steps_left()));
}

ClosedBy Generation::closed_by() const {
  if (split_.side() != ReasoningSplit::Side::answer || usage_.reasoning_tokens == 0) return ClosedBy::none;
  if (!thinking_.forced_closing()) return ClosedBy::model;
  return thinking_.closed() ? ClosedBy::deadline : ClosedBy::budget;
}

FinishEvent Generation::finish(FinishReason reason, const std::string& error) {
  const TimePoint now = limits_.clock();
  FinishEvent event;
  event.reason = reason;
  event.thinking = split_.thinking();
  split_.finish(pending_);
  for (const ReasoningSplit::Piece& piece : pending_) {
    if (piece.kind == ReasoningSplit::Piece::Kind::thinking && event.thinking) event.text += piece.text;
    if (piece.kind == ReasoningSplit::Piece::Kind::answer) event.text += stops_.push(piece.text);
  }
  if (!event.thinking) event.text += stops_.finish();
  if (reason == FinishReason::length && stops_.stopped()) event.reason = FinishReason::stop;
  event.error = error;
  event.usage = usage_;
  event.closed_by = closed_by();
  event.answer_tokens = answered_;
  event.promised = promised_;
  event.predicted_s = predicted_s_;
  if (request_.deadline) {
    event.on_time = event.reason == FinishReason::stop && now <= request_.deadline->at;
  }
  event.timings.queue_s = seconds_between(request_.arrived, admitted_.value_or(now));
  event.timings.first_token_s = first_token_ ? seconds_between(request_.arrived, *first_token_) : 0;
  event.timings.total_s = seconds_between(request_.arrived, now);
  try {
    sink_->on_finish(event);
  } catch (...) {
    // A sink may not throw; one that does has lost its own news and nobody else's.
  }
  return event;
}

}  // namespace tern
