// Work that takes too long for the thread that serves everybody: long prompts and texts to tokenize.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace tern {

/// One thread, first come first served. Thread-safe.
class Background {
 public:
  using Job = std::function<void()>;  ///< must not throw

  /// Jobs that hold more than so many bytes together are not taken.
  explicit Background(size_t most_bytes);
  ~Background();  ///< the job under way is finished, those that wait are dropped

  /// Takes a job that holds `bytes` of memory; false where that is too much.
  bool run(size_t bytes, Job job);

 private:
  struct Waiting {
    size_t bytes;
    Job job;
  };
  void loop();

  const size_t most_bytes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Waiting> waiting_;
  size_t bytes_ = 0;  ///< of those that wait and the one under way
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace tern
