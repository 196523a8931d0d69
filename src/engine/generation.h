// One request on its way: how far its prompt is, what it said, what it may still say.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/constraint.h"
#include "engine/engine.h"
#include "engine/sampler.h"
#include "text/chat.h"
#include "text/ending.h"
#include "text/reasoning.h"
#include "text/stream.h"

namespace tern {

/// What a generation needs to know of the engine it runs in.
struct GenerationLimits {
  int vocab = 0;         ///< ids from here on can't be said: the smaller of the model's and the tokenizer's
  int context = 0;       ///< tokens of one sequence, prompt and reply
  int prompt_piece = 0;  ///< prompt tokens fed at once
  std::function<TimePoint()> clock = Clock::now;
};

/// Belongs to one thread at a time. The format must outlive it.
///
/// The prompt is fed in pieces that end at multiples of `prompt_piece` whatever else runs, so that a
/// request's arithmetic, and with it its text, is the same alone and in company.
class Generation {
 public:
  /// Throws Error{bad_input | unsupported} for a request that can never run, naming the field.
  Generation(RequestId id, GenerateRequest request, std::shared_ptr<EventSink> sink, const ChatFormat& format,
             const GenerationLimits& limits);

  RequestId id() const { return id_; }
  bool in_prompt() const { return cached_ < prompt_tokens(); }
  int prompt_tokens() const { return usage_.prompt_tokens; }
  int prompt_left() const { return std::max(0, prompt_tokens() - cached_); }
  /// Tokens that the cache will hold at most: the prompt and all of the reply but its last token.
  int most_cached() const { return prompt_tokens() + max_tokens_ - 1; }
  /// The prompt and what was said so far.
  std::span<const int32_t> tokens() const { return tokens_; }

  /// The tokens to feed next, at positions cached() and on: of the prompt as many pieces as `most` tokens
  /// hold, at least one; or the token chosen last.
  std::span<const int32_t> next(size_t most = 0) const;
  int cached() const { return cached_; }
  /// Whether a token is to be chosen from the logits of the last of so many next tokens.
  bool wants_logits(size_t fed) const;
  /// So many of next() were fed.
  void advance(size_t fed);
  /// The rest of the prompt; skip() leaves out the first of it, whose rows are there already.
  std::span<const int32_t> prompt_to_come() const { return tokens().subspan(cached_, prompt_left()); }
  void skip(int tokens) { cached_ += tokens; }
  /// It got a place among those that run.
  void admit() { admitted_ = limits_.clock(); }
  const Usage& usage() const { return usage_; }

  const std::optional<Deadline>& deadline() const { return request_.deadline; }
  /// Its deadline was promised: the schedule keeps it.
  bool promised() const { return promised_; }
  /// `start`: see Load::Promise.
  void promise(TimePoint start = TimePoint::min()) {
    promised_ = true;
    start_ = start;
  }
  TimePoint start() const { return start_; }
  /// What the deadline was judged by, in seconds from now; none where nobody can say.
  void predict(double seconds);
  /// Whether thinking, or what may become it, can still be ended.
  bool may_think() const { return split_.side() != ReasoningSplit::Side::answer; }
  /// From now on the thinking is closed. No thought opens any more, either.
  void close_thinking() { thinking_.close(); }
  /// From now on the answer ends where it can: behind a whole JSON value, or, cut, behind a sentence.
  void wind_down() { winding_down_ = true; }
  /// Decode steps until it is over if its thinking ends now and its answer takes `answer_tokens`, or as many
  /// as its deadline reserves; at least one.
  int steps_left(double answer_tokens) const;
  /// The answer's tokens that its deadline reserves; `answer_tokens` where it doesn't say.
  int reserve(double answer_tokens) const;
  /// Decode steps until it is over at the latest.
  int most_steps_left() const { return max_tokens_ - usage_.completion_tokens; }
  int answer_tokens() const { return answered_; }  ///< said so far

  /// Chooses a token from the logits {model's vocabulary} and gives out its event, but for the token behind
  /// which an answer that winds down is cut. Sets done() where it was
  /// the last. Throws as Sampler::sample, and what the sink throws.
  void choose(std::span<float> logits);

  /// The reason to end, where one was met.
  std::optional<FinishReason> done() const { return done_; }
  /// Gives out the last event and returns it; nothing may follow. Never throws.
  FinishEvent finish(FinishReason reason, const std::string& error = {});

 private:
  bool is_stop_token(int32_t token) const;
  std::string_view shown(int32_t token) const;
  void tell(TokenEvent& event);
  std::optional<FinishReason> reason_to_end() const;
  ClosedBy closed_by() const;

  RequestId id_;
  GenerateRequest request_;
  std::shared_ptr<EventSink> sink_;
  const ChatFormat* format_;
  GenerationLimits limits_;
  int max_tokens_ = 0;
  ReasoningSplit split_;
  ThinkingBudget thinking_;
  Sampler sampler_;
  std::vector<ReasoningSplit::Piece> pending_;  ///< not given out yet
  StopStream stops_;
  EndingWatch ending_;  ///< of the answer's text
  bool winding_down_ = false;
  bool promised_ = false;
  TimePoint start_ = TimePoint::min();  ///< not before
  int answered_ = 0;                    ///< tokens of the answer
  std::vector<int32_t> tokens_;         ///< the prompt and the reply
  int cached_ = 0;                      ///< of them
  Usage usage_;
  std::optional<double> predicted_s_;
  std::optional<TimePoint> admitted_, first_token_;
  std::optional<FinishReason> done_;
};

}  // namespace tern
