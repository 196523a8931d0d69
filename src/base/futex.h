// Waiting for a 32-bit value to change, but not for ever, which std::atomic's own wait can't.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <ctime>

namespace tern {

/// Until woken, for `most` at the longest, or not at all where the value isn't `seen`; may end earlier.
inline void futex_wait(const std::atomic<uint32_t>& value, uint32_t seen, std::chrono::nanoseconds most) {
  const timespec timeout = {static_cast<time_t>(most.count() / 1'000'000'000),
                            static_cast<long>(most.count() % 1'000'000'000)};
  syscall(SYS_futex, &value, FUTEX_WAIT_PRIVATE, seen, &timeout, nullptr, 0);
}

/// Wakes who waits with futex_wait.
inline void futex_wake(const std::atomic<uint32_t>& value) {
  syscall(SYS_futex, &value, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace tern
