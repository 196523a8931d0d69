// An answer whose request is still being worked out on another thread.
#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "serve/http.h"

namespace tern {

/// Lives on the I/O thread and stands for the answer that comes after it.
class PreparedAnswer : public Answer {
 public:
  /// Replies through the outlet before it returns, or returns the answer that will. Must not throw.
  using Begin = std::function<std::shared_ptr<Answer>(const std::shared_ptr<Outlet>&)>;

  explicit PreparedAnswer(std::shared_ptr<Outlet> outlet) : outlet_(std::move(outlet)) {}

  /// The request is worked out. Without effect where the client has gone meanwhile.
  void begin(const Begin& begin) {
    if (outlet_) answer_ = begin(std::exchange(outlet_, nullptr));
  }
  void abandon() override {
    outlet_.reset();
    if (answer_) answer_->abandon();
  }
  void wake() override {
    if (answer_) answer_->wake();
  }

 private:
  std::shared_ptr<Outlet> outlet_;  ///< until the answer begins
  std::shared_ptr<Answer> answer_;
};

}  // namespace tern
