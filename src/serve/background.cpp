#include "serve/background.h"

#include <utility>

namespace tern {

Background::Background(size_t most_bytes) : most_bytes_(most_bytes), thread_([this] { loop(); }) {}

Background::~Background() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

bool Background::run(size_t bytes, Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (bytes > most_bytes_ - bytes_) return false;
    bytes_ += bytes;
    waiting_.push_back({bytes, std::move(job)});
  }
  changed_.notify_one();
  return true;
}

void Background::loop() {
  for (;;) {
    Waiting next;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      next = std::move(waiting_.front());
      waiting_.pop_front();
    }
    next.job();
    next.job = nullptr;
    const std::lock_guard lock(mutex_);
    bytes_ -= next.bytes;
  }
}

}  // namespace tern
