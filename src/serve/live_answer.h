// One request's life between the engine and its outlet: choices, events, usage, the end.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "serve/api_error.h"
#include "serve/http.h"
#include "serve/limits.h"
#include "serve/mailbox.h"
#include "serve/replies.h"
#include "serve/request_meter.h"
#include "serve/text_events.h"

namespace tern {

/// What a request asks for, ready for the engine.
struct Plan {
  ReplyHead head;
  bool stream = false, include_usage = false, continuous_usage = false, return_token_ids = false;
  bool include_thinking = true;
  std::chrono::milliseconds interval{0};  ///< a stream's text is gathered for so long
  std::vector<GenerateRequest> requests;  ///< one for each choice
  int prompt_tokens = 0;                  ///< of all prompts, each counted once
  std::shared_ptr<Account> account;       ///< whom generated tokens are counted for; may be null
  std::shared_ptr<RequestMeter> meter;    ///< follows it; may be null
};

/// Lives on the I/O thread. The engine's events come through the mailbox and find it by a weak pointer, so
/// that it may be gone before they are.
class LiveAnswer : public Answer, public std::enable_shared_from_this<LiveAnswer> {
 public:
  /// Submits every choice and, for a stream, sends the head and each choice's first event at once. `active`
  /// counts choices until the engine is done with them. Throws what Engine::submit throws, with nothing left
  /// running.
  static std::shared_ptr<LiveAnswer> start(Engine& engine, std::shared_ptr<Mailbox> mailbox,
                                           std::shared_ptr<std::atomic<int>> active, Plan plan,
                                           std::shared_ptr<Outlet> outlet);
  ~LiveAnswer() override { abandon(); }
  void abandon() override;
  void wake() override;

 private:
  class Sink;
  /// Text of one side with what goes with it, as one event shows it.
  struct Piece {
    std::string text;
    bool thinking = false;
    std::optional<Logprobs> logprobs;
  };
  struct Choice {
    RequestId id = 0;
    bool submitted = false, finished = false;
    size_t characters = 0;             ///< of text given out, thinking and answer
    Usage usage;                       ///< counted from tokens, in the end the engine's own
    ChoiceText text;                   ///< gathered where the reply is not streamed
    std::optional<TextEvents> events;  ///< of a stream, where its usage doesn't change from event to event
    std::optional<Piece> held;         ///< gathered until `due`
    TimePoint due{};
  };

  LiveAnswer(Engine& engine, Plan plan, std::shared_ptr<Outlet> outlet);
  void submit(const std::shared_ptr<Mailbox>& mailbox, const std::shared_ptr<std::atomic<int>>& active);
  void begin_stream();
  void on_token(int index, const TokenEvent& event);
  void on_finish(int index, const FinishEvent& event);
  bool hides(bool thinking) const { return thinking && !plan_.include_thinking; }
  void give(int index, Piece piece);
  void hold(int index, Piece piece);
  void release(int index);
  void send(int index, const Piece& piece);
  void complete();
  void break_off(const ApiError& error);
  Usage total_usage() const;
  std::optional<ReplyJson> event_usage() const;

  Engine& engine_;
  Plan plan_;
  std::shared_ptr<Outlet> outlet_;  ///< null once the answer has ended
  std::vector<Choice> choices_;
  std::string event_;                      ///< the last one rendered; kept for its memory
  TimePoint wakes_at_ = TimePoint::max();  ///< what the outlet was asked for
};

}  // namespace tern
