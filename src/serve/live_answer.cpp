#include "serve/live_answer.h"

#include <algorithm>

#include "serve/submit.h"

namespace tern {
namespace {

size_t count_characters(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; });
}

}  // namespace

/// Copies events out of the engine's thread.
class LiveAnswer::Sink : public EventSink {
 public:
  Sink(std::shared_ptr<Mailbox> mailbox, std::shared_ptr<std::atomic<int>> active,
       std::weak_ptr<LiveAnswer> to, std::shared_ptr<RequestMeter> meter, int choice)
      : mailbox_(std::move(mailbox)),
        active_(std::move(active)),
        to_(std::move(to)),
        meter_(std::move(meter)),
        choice_(choice) {}

  void on_token(const TokenEvent& event) override {
    mailbox_->post([to = to_, choice = choice_, event] {
      if (const auto answer = to.lock()) answer->on_token(choice, event);
    });
  }

  void on_finish(const FinishEvent& event) override {
    active_->fetch_sub(1);
    mailbox_->post([to = to_, meter = meter_, choice = choice_, event] {
      if (meter) meter->on_finish(choice, event);  // also where nobody waits for it any more
      if (const auto answer = to.lock()) answer->on_finish(choice, event);
    });
  }

 private:
  std::shared_ptr<Mailbox> mailbox_;
  std::shared_ptr<std::atomic<int>> active_;
  std::weak_ptr<LiveAnswer> to_;
  std::shared_ptr<RequestMeter> meter_;
  int choice_;
};

std::shared_ptr<LiveAnswer> LiveAnswer::start(Engine& engine, std::shared_ptr<Mailbox> mailbox,
                                              std::shared_ptr<std::atomic<int>> active, Plan plan,
                                              std::shared_ptr<Outlet> outlet) {
  std::shared_ptr<LiveAnswer> answer(new LiveAnswer(engine, std::move(plan), std::move(outlet)));
  answer->submit(mailbox, active);
  if (!answer->plan_.stream) return answer;
  answer->begin_stream();
  return answer;
}

void LiveAnswer::begin_stream() {
  outlet_->begin_events();
  for (size_t i = 0; i < choices_.size(); ++i) {
    const int index = static_cast<int>(i);
    outlet_->event(first_event(plan_.head, index, event_usage()));
    if (!plan_.continuous_usage) choices_[i].events.emplace(plan_.head, index, event_usage());
  }
}

LiveAnswer::LiveAnswer(Engine& engine, Plan plan, std::shared_ptr<Outlet> outlet)
    : engine_(engine), plan_(std::move(plan)), outlet_(std::move(outlet)), choices_(plan_.requests.size()) {}

void LiveAnswer::submit(const std::shared_ptr<Mailbox>& mailbox,
                        const std::shared_ptr<std::atomic<int>>& active) {
  if (plan_.meter) plan_.meter->submitted(plan_.head.id, plan_.requests, engine_.tokenizer());
  for (size_t i = 0; i < choices_.size(); ++i) {
    if (plan_.requests[i].top_logprobs >= 0) choices_[i].text.logprobs.emplace();
    if (plan_.return_token_ids) choices_[i].text.token_ids.emplace();
    auto sink = std::make_shared<Sink>(mailbox, active, weak_from_this(), plan_.meter, static_cast<int>(i));
    try {
      choices_[i].id = tern::submit(engine_, std::move(plan_.requests[i]), std::move(sink), *active);
    } catch (...) {
      abandon();
      if (plan_.meter) plan_.meter->refused();
      throw;
    }
    choices_[i].submitted = true;
  }
}

void LiveAnswer::abandon() {
  outlet_.reset();
  for (Choice& choice : choices_) {
    if (choice.submitted && !choice.finished) engine_.cancel(choice.id);
    choice.finished = true;
  }
}

Usage LiveAnswer::total_usage() const {
  Usage total;
  total.prompt_tokens = plan_.prompt_tokens;
  for (const Choice& choice : choices_) {
    total.completion_tokens += choice.usage.completion_tokens;
    total.reasoning_tokens += choice.usage.reasoning_tokens;
  }
  return total;
}

std::optional<ReplyJson> LiveAnswer::event_usage() const {
  if (plan_.continuous_usage) return usage_json(total_usage());
  if (plan_.include_usage) return ReplyJson(nullptr);
  return std::nullopt;
}

void LiveAnswer::on_token(int index, const TokenEvent& event) {
  if (!outlet_) return;
  if (plan_.meter) plan_.meter->on_token(index, event);
  Choice& choice = choices_[index];
  ++choice.usage.completion_tokens;
  if (plan_.account) plan_.account->spend(1, Clock::now());
  if (event.thinking) ++choice.usage.reasoning_tokens;
  if (hides(event.thinking)) return;
  if (choice.text.token_ids) choice.text.token_ids->push_back(event.token);
  Piece piece{event.text, event.thinking, std::nullopt};
  // Completions are raw text: there the thinking's markers are seen.
  if (!plan_.head.chat && plan_.include_thinking) piece.text += event.marker;
  // Markers and end tokens are no text of the answer, so they have no place in its log-probabilities.
  if (event.logprobs && !engine_.tokenizer().is_special(event.token)) {
    piece.logprobs.emplace();
    piece.logprobs->add(engine_.tokenizer(), *event.logprobs, event.thinking, choice.characters);
  }
  if (!piece.text.empty() || piece.logprobs || plan_.continuous_usage) give(index, std::move(piece));
}

void LiveAnswer::give(int index, Piece piece) {
  Choice& choice = choices_[index];
  choice.characters += count_characters(piece.text);
  if (!plan_.stream) {
    (piece.thinking && plan_.head.chat ? choice.text.reasoning : choice.text.content) += piece.text;
    if (piece.logprobs) choice.text.logprobs->append(std::move(*piece.logprobs));
  } else if (plan_.interval.count() > 0) {
    hold(index, std::move(piece));
  } else {
    send(index, piece);
  }
}

/// The first piece goes at once, later ones when an interval has passed since the last event.
void LiveAnswer::hold(int index, Piece piece) {
  Choice& choice = choices_[index];
  if (choice.held && choice.held->thinking != piece.thinking) release(index);
  if (!choice.held) {
    choice.held = std::move(piece);
  } else {
    choice.held->text += piece.text;
    if (piece.logprobs && !choice.held->logprobs) choice.held->logprobs.emplace();
    if (piece.logprobs) choice.held->logprobs->append(std::move(*piece.logprobs));
  }
  if (Clock::now() >= choice.due) return release(index);
  if (choice.due >= wakes_at_) return;
  wakes_at_ = choice.due;
  outlet_->wake_at(wakes_at_);
}

/// Sends what is held.
void LiveAnswer::release(int index) {
  Choice& choice = choices_[index];
  if (!choice.held) return;
  choice.due = Clock::now() + plan_.interval;
  send(index, *std::exchange(choice.held, std::nullopt));
}

void LiveAnswer::wake() {
  if (!outlet_) return;
  wakes_at_ = TimePoint::max();
  const TimePoint now = Clock::now();
  for (size_t i = 0; i < choices_.size(); ++i) {
    const Choice& choice = choices_[i];
    if (choice.held && choice.due <= now) release(static_cast<int>(i));
    if (choice.held) wakes_at_ = std::min(wakes_at_, choice.due);
  }
  if (wakes_at_ != TimePoint::max()) outlet_->wake_at(wakes_at_);
}

void LiveAnswer::send(int index, const Piece& piece) {
  const Choice& choice = choices_[index];
  if (choice.events && !piece.logprobs) {
    event_.clear();
    choice.events->append(event_, piece.text, piece.thinking);
    return outlet_->event(event_);
  }
  const Logprobs* logprobs = piece.logprobs ? &*piece.logprobs : nullptr;
  outlet_->event(text_event(plan_.head, index, piece.text, piece.thinking, logprobs, event_usage()));
}

void LiveAnswer::on_finish(int index, const FinishEvent& event) {
  choices_[index].finished = true;
  if (!outlet_) return;
  if (event.reason == FinishReason::error || event.reason == FinishReason::cancelled) {
    const bool error = event.reason == FinishReason::error;
    return break_off(error ? ApiError(500, event.error) : ApiError(503, "The server is shutting down."));
  }
  if (!event.text.empty() && !hides(event.thinking)) give(index, {event.text, event.thinking, std::nullopt});
  release(index);
  choices_[index].text.reason = event.reason;
  choices_[index].usage = event.usage;
  choices_[index].text.tern = timing_json(event);
  if (plan_.stream) {
    outlet_->event(finish_event(plan_.head, index, event.reason, choices_[index].text.tern, event_usage()));
  }
  const bool all =
      std::all_of(choices_.begin(), choices_.end(), [](const Choice& choice) { return choice.finished; });
  if (all) complete();
}

void LiveAnswer::complete() {
  const auto outlet = std::exchange(outlet_, nullptr);
  if (plan_.stream) {
    if (plan_.include_usage) outlet->event(usage_event(plan_.head, total_usage()));
    outlet->event("[DONE]");
    return outlet->end_events();
  }
  std::vector<ChoiceText> texts;
  for (Choice& choice : choices_) texts.push_back(std::move(choice.text));
  outlet->reply({200, whole_reply(plan_.head, texts, total_usage()), {}});
}

/// Ends every choice; the client gets the error as its reply, or as a stream's last event.
void LiveAnswer::break_off(const ApiError& error) {
  for (size_t i = 0; i < choices_.size(); ++i) release(static_cast<int>(i));
  const auto outlet = std::exchange(outlet_, nullptr);
  abandon();
  if (!plan_.stream) return outlet->reply({error.status(), error.json(), {}});
  outlet->event(error.json());
  outlet->end_events();
}

}  // namespace tern
