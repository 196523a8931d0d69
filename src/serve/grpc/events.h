// The events of one stream that wait to be written.
#pragma once

#include <cstddef>
#include <deque>

#include <tern/v1/tern.pb.h>

#include "engine/engine.h"

namespace tern {

/// What waits goes out in as few messages as keep its order: all of it in one, but where an answer is
/// followed by thinking.
class EventQueue {
 public:
  /// raw: thinking and its markers are text as the rest, as raw prompts have it.
  explicit EventQueue(bool raw) : raw_(raw) {}

  void add(const TokenEvent& event);
  /// The last event.
  void add(const FinishEvent& event);
  bool empty() const { return waiting_.empty(); }
  /// About as many as the messages have on the wire.
  size_t bytes() const { return bytes_; }
  v1::GenerateEvent pop();
  void clear();

 private:
  v1::GenerateEvent& last_for(bool thinking);
  void add_text(const std::string& text, bool thinking);

  bool raw_;
  std::deque<v1::GenerateEvent> waiting_;
  size_t bytes_ = 0;
};

}  // namespace tern
