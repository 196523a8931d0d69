// Brings what happens on the engine's thread to the I/O thread.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace tern {

/// Jobs from any thread, run in order by the I/O thread. Many jobs of one engine step cost one wake-up.
class Mailbox {
 public:
  using Job = std::function<void()>;

  /// `wake` is called from any thread, under the lock, when the first job comes: it must arrange a call of
  /// run().
  explicit Mailbox(std::function<void()> wake) : wake_(std::move(wake)) {}

  /// Never waits for the I/O thread. After close() jobs are dropped.
  void post(Job job) {
    const std::lock_guard lock(mutex_);
    if (!wake_) return;
    jobs_.push_back(std::move(job));
    if (jobs_.size() == 1) wake_();
  }

  /// Runs what has come so far.
  void run() {
    std::vector<Job> jobs;
    {
      const std::lock_guard lock(mutex_);
      jobs.swap(jobs_);
    }
    for (const Job& job : jobs) job();
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
};

}  // namespace tern
