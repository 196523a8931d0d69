// Brings what happens on the engine's thread to the I/O thread.
#pragma once

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace tern {

/// Jobs from any thread, run in order by the I/O thread. While it runs some, those that come cost no wake-up.
class Mailbox {
 public:
  using Job = std::function<void()>;
  static constexpr size_t kSlice = 64;  ///< a fraction of a millisecond: nobody who connects waits for more

  /// `wake` is called from any thread, under the lock: it must arrange a call of run() by the I/O thread.
  explicit Mailbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  /// Never waits for the I/O thread. After close() jobs are dropped.
  void post(Job job) {
    const std::lock_guard lock(mutex_);
    if (!wake_) return;
    jobs_.push_back(std::move(job));
    if (!std::exchange(awake_, true)) wake_();
  }

  /// Runs the next kSlice of what has come so far. The rest, and what comes meanwhile, has its turn after
  /// what else the I/O thread has to do.
  void run() {
    if (next_ == running_.size()) take();
    const size_t end = std::min(running_.size(), next_ + kSlice);
    for (; next_ < end; ++next_) std::exchange(running_[next_], nullptr)();
    const std::lock_guard lock(mutex_);
    awake_ = next_ < running_.size() || !jobs_.empty();
    if (awake_ && wake_) wake_();
  }

  /// After this no wake-up happens; jobs not run yet are dropped.
  void close() {
    const std::lock_guard lock(mutex_);
    wake_ = nullptr;
    jobs_.clear();
  }

 private:
  void take() {
    running_.clear();
    next_ = 0;
    const std::lock_guard lock(mutex_);
    running_.swap(jobs_);
  }

  std::mutex mutex_;
  std::function<void()> wake_;
  std::vector<Job> jobs_;
  bool awake_ = false;        ///< a call of run() is arranged or under way
  std::vector<Job> running_;  ///< run()'s alone, as is next_; kept for its memory
  size_t next_ = 0;           ///< of running_
};

/// A mailbox whose jobs `io` runs, which must live until its close().
std::shared_ptr<Mailbox> make_mailbox(boost::asio::io_context& io);

}  // namespace tern
