#include "serve/request_meter.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "serve/replies.h"

namespace tern {
namespace {

constexpr size_t kLongestPath = 256;  // bytes of it in the log

}  // namespace

RequestMeter::RequestMeter(std::shared_ptr<Telemetry> telemetry, Head head)
    : telemetry_(std::move(telemetry)), arrived_(head.arrived) {
  record_.method = std::move(head.method);
  record_.path = std::move(head.path);
  record_.path.resize(std::min(record_.path.size(), kLongestPath));
  record_.route = "other";
  record_.request_id = std::move(head.request_id);
  record_.trace = trace_of(head.traceparent);
}

void RequestMeter::submitted(const std::string& id, const std::vector<GenerateRequest>& choices,
                             const Tokenizer& tokenizer) {
  record_.id = id;
  choices_.resize(choices.size());
  record_.with_text = telemetry_->log && telemetry_->log_prompts;
  if (record_.with_text) record_.replies.resize(choices.size());
  for (size_t i = 0; i < choices.size(); ++i) {
    choices_[i].prompt_tokens = static_cast<int>(choices[i].prompt.size());
    const auto& deadline = choices[i].deadline;
    if (deadline) record_.deadline_ms = seconds_between(choices[i].arrived, deadline->at) * 1e3;
    const bool same = i > 0 && choices[i].prompt == choices[i - 1].prompt;
    if (!same) record_.prompt_tokens += choices[i].prompt.size();
    if (record_.with_text && !same) record_.prompts.push_back(tokenizer.decode(choices[i].prompt, true));
  }
  record_.promised = record_.on_time = record_.deadline_ms >= 0;
}

void RequestMeter::refused() {
  choices_.clear();
  record_.promised = record_.on_time = false;
}

void RequestMeter::on_token(size_t index, const TokenEvent& event) {
  if (index >= choices_.size() || ended_) return;
  Choice& choice = choices_[index];
  DoorMetrics& metrics = telemetry_->metrics;
  const TimePoint now = Clock::now();
  if (choice.last_token == TimePoint{}) {
    const double seconds = seconds_between(arrived_, now);
    metrics.first_token.add(seconds);
    if (record_.ttft_ms < 0) record_.ttft_ms = seconds * 1e3;
  } else {
    metrics.inter_token.add(seconds_between(choice.last_token, now));
  }
  choice.last_token = now;
  ++choice.completion_tokens;
  if (event.thinking) ++choice.thinking_tokens;
  if (!choice.answers && !event.thinking && !event.text.empty()) {
    choice.answers = true;
    metrics.first_answer_token.add(seconds_between(arrived_, now));
  }
  if (record_.with_text) record_.replies[index].append(event.text).append(event.marker);
}

void RequestMeter::on_finish(size_t index, const FinishEvent& event) {
  if (index >= choices_.size()) return;
  Choice& choice = choices_[index];
  choice.completion_tokens = event.usage.completion_tokens;
  choice.thinking_tokens = event.usage.reasoning_tokens;
  telemetry_->metrics.queue.add(event.timings.queue_s);
  record_.promised = record_.promised && event.promised;
  record_.on_time = record_.on_time && event.on_time.value_or(false);
  if (record_.closed_by.empty()) record_.closed_by = closed_name(event.closed_by);
  if (record_.with_text) record_.replies[index] += event.text;
  finish(choice, event.reason);
  tell_if_over();
}

void RequestMeter::finish(Choice& choice, FinishReason reason) {
  DoorMetrics& metrics = telemetry_->metrics;
  choice.finished = true;
  choice.reason = reason;
  ++metrics.finished[static_cast<size_t>(reason)];
  metrics.prompt_tokens.add(choice.prompt_tokens);
  metrics.generation_tokens.add(choice.completion_tokens);
  metrics.thinking_tokens.add(choice.thinking_tokens);
  const bool complete = reason == FinishReason::stop || reason == FinishReason::length;
  if (complete) metrics.e2e.add(seconds_since(arrived_));
}

void RequestMeter::end(int status, uint64_t bytes, bool client_left) {
  if (std::exchange(ended_, true)) return;
  record_.status = status;
  record_.bytes = bytes;
  record_.client_left = client_left;
  const double took = seconds_since(arrived_);
  record_.e2e_ms = took * 1e3;
  telemetry_->metrics.count_response(record_.route, status);
  if (status == 429) telemetry_->metrics.refusal.add(took);
  tell_if_over();
}

RequestMeter::~RequestMeter() {
  for (Choice& choice : choices_) {
    if (!choice.finished) finish(choice, FinishReason::cancelled);
  }
  end(kClosedByClient, 0, true);
  tell_if_over();
}

void RequestMeter::tell_if_over() {
  const auto finished = [](const Choice& choice) { return choice.finished; };
  if (!ended_ || !std::all_of(choices_.begin(), choices_.end(), finished)) return;
  if (std::exchange(told_, true)) return;
  sum_up();
  // What only looks (probes, scrapes, the page) leaves no trace unless it failed.
  const bool looks = record_.method == "GET" || record_.method == "HEAD";
  if (!telemetry_->log || (looks && record_.status < 400 && !record_.client_left)) return;
  record_.time = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  telemetry_->log->write(record_);
}

void RequestMeter::sum_up() {
  for (const Choice& choice : choices_) {
    if (!record_.finish_reason.empty()) record_.finish_reason += ',';
    record_.finish_reason += finished_name(choice.reason);
    record_.completion_tokens += choice.completion_tokens;
    record_.thinking_tokens += choice.thinking_tokens;
  }
}

}  // namespace tern
