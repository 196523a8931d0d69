// Brings what happens on the engine's thread to the I/O thread.
#pragma once

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "base/clock.h"

namespace tern {

/// Jobs from any thread, run in order by the I/O thread. While it runs some, those that come cost no wake-up;
/// where they come one by one faster than the thread could go to sleep and wake again, it gathers them for a
/// fraction of a millisecond, as network cards do.
class Mailbox {
 public:
  using Job = std::function<void()>;
  static constexpr size_t kSlice = 64;  ///< a fraction of a millisecond: nobody who connects waits for more
  static constexpr std::chrono::microseconds kOften{100};   ///< between two wake-ups; sooner is too often
  static constexpr std::chrono::microseconds kGather{250};  ///< jobs wait so long then

  struct Hooks {
    /// Called from any thread, under the lock: must arrange a call of run() by the I/O thread.
    std::function<void()> wake;
    /// Called by run(): must arrange its next call after kGather.
    std::function<void()> wake_later;
    std::function<TimePoint()> clock = Clock::now;
  };
  explicit Mailbox(Hooks hooks) : hooks_(std::move(hooks)) {}

  /// Never waits for the I/O thread. After close() jobs are dropped.
  void post(Job job) {
    const std::lock_guard lock(mutex_);
    if (!hooks_.wake) return;
    jobs_.push_back(std::move(job));
    if (!std::exchange(awake_, true)) hooks_.wake();
  }

  /// Runs the next kSlice of what has come so far. The rest, and what comes meanwhile, has its turn after
  /// what else the I/O thread has to do.
  void run() {
    if (next_ == running_.size()) take();
    const size_t end = std::min(running_.size(), next_ + kSlice);
    for (; next_ < end; ++next_) std::exchange(running_[next_], nullptr)();
    const std::lock_guard lock(mutex_);
    awake_ = hooks_.wake && (next_ < running_.size() || !jobs_.empty());
    if (awake_) return hooks_.wake();
    awake_ = hooks_.wake && come_often_;
    if (awake_) hooks_.wake_later();
  }

  /// After this no wake-up happens; jobs not run yet are dropped.
  void close() {
    const std::lock_guard lock(mutex_);
    hooks_.wake = hooks_.wake_later = nullptr;  // what they hold may end before this does
    jobs_.clear();
  }

 private:
  static constexpr int kMany = 16;  // wake-ups or jobs, before a habit is seen in them

  void take() {
    running_.clear();
    next_ = 0;
    {
      const std::lock_guard lock(mutex_);
      running_.swap(jobs_);
    }
    watch(running_.size());
  }

  /// Whether jobs come too often to wake up for each.
  void watch(size_t jobs) {
    const TimePoint now = hooks_.clock();
    if (come_often_) {
      come_often_ = jobs >= static_cast<size_t>(kGather / kOften);
      wakes_ = 0;
    }
    if (wakes_ == 0) since_ = now;
    if (++wakes_ <= kMany) return;
    come_often_ = now - since_ < kMany * kOften;
    wakes_ = 0;
  }

  std::mutex mutex_;
  Hooks hooks_;
  std::vector<Job> jobs_;
  bool awake_ = false;        ///< a call of run() is arranged or under way
  std::vector<Job> running_;  ///< run()'s alone, as is all below; kept for its memory
  size_t next_ = 0;           ///< of running_
  TimePoint since_;           ///< of the first of the wakes
  int wakes_ = 0;
  bool come_often_ = false;
};

/// A mailbox whose jobs `io` runs, which must outlive it.
std::shared_ptr<Mailbox> make_mailbox(boost::asio::io_context& io);

}  // namespace tern
