#include "serve/grpc/events.h"

#include <utility>

namespace tern {
namespace {

constexpr size_t kTokenBytes = 8;     ///< an id and the fields around it
constexpr size_t kLogprobBytes = 14;  ///< one entry of Logprob

void add_logprob(const Sampled& sampled, v1::Logprob& out) {
  out.set_logprob(sampled.logprob);
  for (const TokenLogprob& top : sampled.top) {
    v1::Logprob::Top& one = *out.add_top();
    one.set_token_id(static_cast<uint32_t>(top.token));
    one.set_logprob(top.logprob);
  }
}

v1::ClosedBy closed_by(ClosedBy who) {
  constexpr v1::ClosedBy kNames[] = {v1::CLOSED_BY_UNSPECIFIED, v1::CLOSED_BY_MODEL, v1::CLOSED_BY_BUDGET,
                                     v1::CLOSED_BY_DEADLINE};
  return kNames[static_cast<int>(who)];
}

}  // namespace

/// Within one message thinking is before text.
v1::GenerateEvent& EventQueue::last_for(bool thinking) {
  if (waiting_.empty() || (thinking && !waiting_.back().text().empty())) waiting_.emplace_back();
  return waiting_.back();
}

void EventQueue::add_text(const std::string& text, bool thinking) {
  if (text.empty()) return;
  v1::GenerateEvent& event = last_for(thinking);
  *(thinking ? event.mutable_thinking() : event.mutable_text()) += text;
  bytes_ += text.size();
}

void EventQueue::add(const TokenEvent& event) {
  const bool thinking = event.thinking && !raw_;
  v1::GenerateEvent& last = last_for(thinking && !event.text.empty());
  last.add_token_ids(static_cast<uint32_t>(event.token));
  bytes_ += kTokenBytes;
  if (event.logprobs) {
    add_logprob(*event.logprobs, *last.add_logprobs());
    bytes_ += kLogprobBytes * (1 + event.logprobs->top.size());
  }
  add_text(raw_ ? event.text + event.marker : event.text, thinking);
}

void EventQueue::add(const FinishEvent& event) {
  add_text(event.text, event.thinking && !raw_);
  v1::Finish& finish = *last_for(false).mutable_finish();
  finish.set_reason(event.reason == FinishReason::length ? v1::FINISH_REASON_LENGTH : v1::FINISH_REASON_STOP);
  v1::Usage& usage = *finish.mutable_usage();
  usage.set_prompt_tokens(event.usage.prompt_tokens);
  usage.set_completion_tokens(event.usage.completion_tokens);
  usage.set_reasoning_tokens(event.usage.reasoning_tokens);
  finish.set_closed_by(closed_by(event.closed_by));
  if (event.on_time) {
    finish.set_promised(event.promised);
    finish.set_on_time(*event.on_time);
  }
  if (event.predicted_s) finish.set_predicted_ms(*event.predicted_s * 1e3);
  finish.set_first_token_ms(event.timings.first_token_s * 1e3);
  finish.set_actual_ms(event.timings.total_s * 1e3);
}

v1::GenerateEvent EventQueue::pop() {
  v1::GenerateEvent event = std::move(waiting_.front());
  waiting_.pop_front();
  if (waiting_.empty()) bytes_ = 0;
  return event;
}

void EventQueue::clear() {
  waiting_.clear();
  bytes_ = 0;
}

}  // namespace tern
