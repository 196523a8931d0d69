// Brings what happens on the engine's thread to the I/O thread.
#pragma once

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

  /// `wake` is called from any thread, under the lock: it must arrange a call of run() by the I/O thread.
  explicit Mailbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  /// Never waits for the I/O thread. After close() jobs are dropped.
  void post(Job job) {
    const std::lock_guard lock(mutex_);
    if (!wake_) return;
    jobs_.push_back(std::move(job));
    if (!std::exchange(awake_, true)) wake_();
  }

  /// Runs what has come so far. What comes meanwhile has its turn after what else the I/O thread has to do.
  void run() {
    {
      const std::lock_guard lock(mutex_);
      running_.swap(jobs_);
    }
    for (const Job& job : running_) job();
    running_.clear();
    const std::lock_guard lock(mutex_);
    awake_ = !jobs_.empty();
    if (awake_ && wake_) wake_();
  }

  /// After this no wake-up happens; jobs not run yet are dropped.
  void close() {
    const std::lock_guard lock(mutex_);
    wake_ = nullptr;
    jobs_.clear();
  }

 private:
  std::mutex mutex_;
  std::function<void()> wake_;
  std::vector<Job> jobs_;
  bool awake_ = false;        ///< a call of run() is arranged or under way
  std::vector<Job> running_;  ///< run()'s alone; kept for its memory
};

}  // namespace tern
