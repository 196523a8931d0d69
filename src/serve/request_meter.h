// Follows one request from its first byte to the end of its answer: for the metrics, and its line in the log.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "engine/engine.h"
#include "serve/telemetry.h"

namespace tern {

/// One thread at a time. A token costs a reading of the clock and a histogram's addition. The line is written
/// when the answer has ended and the engine has told the end of every choice, so that it has the engine's own
/// numbers also where the client left.
class RequestMeter {
 public:
  static constexpr int kClosedByClient = 499;  ///< nginx's status where the client left before there was one

  struct Head {
    std::string method, path, traceparent, request_id;
    TimePoint arrived;
  };
  RequestMeter(std::shared_ptr<Telemetry> telemetry, Head head);
  /// Without end() the client has left; choices whose end was not told were cancelled.
  ~RequestMeter();
  RequestMeter(const RequestMeter&) = delete;
  RequestMeter& operator=(const RequestMeter&) = delete;

  /// A path that the server knows; without it the route is "other", so that clients can't make up new ones.
  void set_route(std::string_view route) { record_.route = route; }
  /// What goes to the engine, a request for each choice, whose reply has this id.
  void submitted(const std::string& id, const std::vector<GenerateRequest>& choices,
                 const Tokenizer& tokenizer);
  /// The engine didn't take all of them: none counts.
  void refused();
  void on_token(size_t choice, const TokenEvent& event);
  void on_finish(size_t choice, const FinishEvent& event);
  /// The answer has ended, so many bytes of it were sent. Only the first call counts.
  void end(int status, uint64_t bytes, bool client_left);

 private:
  struct Choice {
    TimePoint last_token{};  ///< the epoch: none yet
    int prompt_tokens = 0, completion_tokens = 0, thinking_tokens = 0;
    bool answers = false, finished = false;
    FinishReason reason = FinishReason::cancelled;
  };
  void finish(Choice& choice, FinishReason reason);
  void tell_if_over();
  void sum_up();

  std::shared_ptr<Telemetry> telemetry_;
  TimePoint arrived_;
  RequestRecord record_;
  std::vector<Choice> choices_;
  bool ended_ = false, told_ = false;
};

}  // namespace tern
