#include "base/threads.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace tern {
namespace {

/// The kernel's struct sched_attr, first version; its header can't stand beside the C library's.
struct SchedAttributes {
  uint32_t size = 0, policy = 0;
  uint64_t flags = 0;
  int32_t nice = 0;
  uint32_t priority = 0;
  uint64_t runtime = 0, deadline = 0, period = 0;  ///< nanoseconds
};
static_assert(sizeof(SchedAttributes) == 48);

}  // namespace

void name_thread(const char* name) {
  prctl(PR_SET_NAME, name);
}

void prefer_latency() {
  constexpr uint64_t kSlice = 100'000;  // the least that the kernel takes
  SchedAttributes attributes;
  // Policy, niceness and all else stay as they are.
  if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;
  if (attributes.policy != SCHED_OTHER) return;
  attributes.runtime = kSlice;
  syscall(SYS_sched_setattr, 0, &attributes, 0);
}

void prefer_others() {
  constexpr int kLeastUrgent = 19;
  constexpr int kOneThread = 1, kIdleClass = 3 << 13;  // IOPRIO_WHO_PROCESS, IOPRIO_CLASS_IDLE
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), kLeastUrgent);
  syscall(SYS_ioprio_set, kOneThread, 0, kIdleClass);
}

}  // namespace tern
