// One query asked of an engine, as every evaluation of the search task asks.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>

#include "engine/engine.h"
#include "tasks/search/score.h"
#include "text/chat.h"

namespace tern {

/// The request for a query in tern's own chat format. Throws Error where the model's format is another.
GenerateRequest search_request(const Engine& engine, const std::string& query, Thinking thinking);

/// Gathers one request's reply and opens the gate for the next request when it is complete.
class ReplySink : public EventSink {
 public:
  struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    int open = 0;  ///< requests in the engine
    int done = 0;
  };

  /// All three must outlive the request.
  ReplySink(Gate& gate, search::Reply& reply, FinishEvent& finish)
      : gate_(gate), reply_(reply), finish_(finish) {}

  void on_token(const TokenEvent& event) override;
  void on_finish(const FinishEvent& event) override;

 private:
  void take(const std::string& text, bool thinking);

  Gate& gate_;
  search::Reply& reply_;
  FinishEvent& finish_;
};

}  // namespace tern
