#include "base/thread_team.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <limits>
#include <system_error>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/futex.h"
#include "base/threads.h"

namespace tern {
namespace {

// Multiply-adds. Handing a job out and waiting for its end cost 0.3 microseconds where there are two pieces
// and 0.06 more for each other one (measured on Zen 1; Zen 3: about a microsecond for 16), in which one core
// does 4,000 to 20,000 multiply-adds. So a small job gives each member one piece, and the smallest is not
// shared, which depends on the machine.
constexpr double least_shared_work = 20e3;
constexpr double most_unshared_work = 200e3;
constexpr double worth_a_handover = 3;  // shared by two, a job of 2 handovers' length takes as long
constexpr double smallest_piece_work = 10e3;
// A large one has more pieces than members, so that a member whose core is busy elsewhere leaves most of its
// part to the others.
constexpr double usual_piece_work = 100e3;
constexpr double most_pieces_per_member = 8;
constexpr std::chrono::microseconds spin_time{30};
// A caller that waits for members looks ever more seldom whether they get on.
constexpr std::chrono::microseconds first_sleep{50};
constexpr std::chrono::microseconds longest_sleep{10'000};

uint32_t pieces_for(size_t items, double work, double members) {
  const double one_each = std::min(members, work / smallest_piece_work);
  const double many = std::min(members * most_pieces_per_member, work / usual_piece_work);
  return static_cast<uint32_t>(std::min(static_cast<double>(items), std::max(one_each, many)));
}

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Spins until `ready` or spin_time is over; says which.
template <typename Ready>
bool spin_until(const Ready& ready) {
  const TimePoint start = Clock::now();
  do {
    for (int i = 0; i < 16; ++i) {
      if (ready()) return true;
      pause_briefly();
    }
  } while (Clock::now() - start < spin_time);
  return false;
}

}  // namespace

// A job's pieces are claimed one by one from `work`, which holds the job's number and how many pieces are
// unclaimed. Whoever claims a piece may read the job, because the caller does not return, or write the next
// job, before every piece claimed is done. A member that wakes late finds nothing to claim and nobody waits
// for it: that is what keeps the team going when there are more threads than cores.
struct ThreadTeam::Impl {
  struct Member {
    std::thread thread;
    std::atomic<int> cpu = -1;          ///< that it ran on last; -1: not known
    std::atomic<bool> working = false;  ///< it has a piece
    bool borrows = false;               ///< it has the caller's CPU
    double ran = 0;                     ///< seconds on some CPU, when the caller last looked

    bool keep_to(const cpu_set_t& cpus);
    double ran_now();  ///< NaN where the system doesn't say
  };
  std::deque<Member> members;  ///< 1 and on
  bool spread = false;         ///< there is a CPU for each

  double waited = 0;
  double least_shared = least_shared_work;

  // The job; written by the caller while no piece is unclaimed or running.
  const std::function<void(size_t, size_t, int)>* body = nullptr;
  size_t items = 0;
  uint32_t pieces = 0;

  alignas(64) std::atomic<uint64_t> work{0};  ///< job number << 32 | unclaimed pieces
  alignas(64) std::atomic<uint32_t> done{0};  ///< pieces of the job that are done
  std::atomic<bool> caller_sleeps{false};     ///< until they all are
  alignas(64) std::atomic<uint32_t> signal{
      0};  ///< changes with every job and at the end; members sleep on it
  std::atomic<bool> stopping{false};

  ~Impl();
  int size() const { return static_cast<int>(members.size()) + 1; }
  void start(int threads);
  void keep_members_off(int cpu);
  bool lend_cpu(double seconds);
  void run_pieces(int index, std::atomic<bool>& working);
  void member_loop(int index, Member& member);
  void wait_for_members();
  void sleep_until_done();
};

bool ThreadTeam::Impl::Member::keep_to(const cpu_set_t& cpus) {
  cpu.store(-1, std::memory_order_relaxed);
  return pthread_setaffinity_np(thread.native_handle(), sizeof cpus, &cpus) == 0;
}

double ThreadTeam::Impl::Member::ran_now() {
  clockid_t clock;
  timespec time;
  if (pthread_getcpuclockid(thread.native_handle(), &clock) != 0 || clock_gettime(clock, &time) != 0)
    return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

void ThreadTeam::Impl::start(int threads) {
  cpu_set_t allowed;
  spread = sched_getaffinity(0, sizeof allowed, &allowed) == 0 && CPU_COUNT(&allowed) >= threads;
  for (int index = 1; index < threads; ++index) {
    Member& member = members.emplace_back();
    member.cpu = sched_getcpu();  // where new threads may have to wait as well
    member.thread = std::thread([this, index, &member] {
      name_thread("tern-compute");
      member_loop(index, member);
    });
  }
}

// A kernel that wakes a member where the caller runs lets it wait there until its next look at the balance,
// some milliseconds later (seen on virtual machines, where it packs threads onto few CPUs).
void ThreadTeam::Impl::keep_members_off(int cpu) {
  for (Member& member : members) {
    if (!member.borrows && member.cpu.load(std::memory_order_relaxed) != cpu) continue;
    cpu_set_t others;  // of what this thread may use now
    if (sched_getaffinity(0, sizeof others, &others) != 0) return;
    CPU_CLR(cpu, &others);
    if (CPU_COUNT(&others) > 0 && member.keep_to(others)) member.borrows = false;
  }
}

// A member that has a piece but hardly ran in the last `seconds` waits for a CPU that others have: it gets
// the caller's, which has nothing to do. Says whether there was one.
bool ThreadTeam::Impl::lend_cpu(double seconds) {
  constexpr double kHardly = 0.25;
  for (Member& member : members) {
    if (!member.working.load(std::memory_order_relaxed)) continue;
    if (!(member.ran_now() - member.ran < kHardly * seconds)) continue;
    cpu_set_t mine;
    CPU_ZERO(&mine);
    CPU_SET(sched_getcpu(), &mine);
    member.borrows = member.keep_to(mine);
    return member.borrows;
  }
  return false;
}

void ThreadTeam::Impl::run_pieces(int index, std::atomic<bool>& working) {
  uint64_t seen = work.load(std::memory_order_acquire);
  while (static_cast<uint32_t>(seen) != 0) {
    if (!work.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    working.store(true, std::memory_order_relaxed);
    const uint32_t all = pieces;
    const size_t piece = all - static_cast<uint32_t>(seen);
    const size_t begin = items / all * piece + std::min<size_t>(piece, items % all);
    const size_t end = begin + items / all + (piece < items % all);
    (*body)(begin, end, index);
    working.store(false, std::memory_order_relaxed);
    if (done.fetch_add(1) + 1 == all && caller_sleeps.load()) futex_wake(done);
    seen = work.load(std::memory_order_acquire);
  }
}

void ThreadTeam::Impl::member_loop(int index, Member& member) {
  uint32_t last = 0;
  while (true) {
    member.cpu.store(sched_getcpu(), std::memory_order_relaxed);
    const auto changed = [&] { return signal.load(std::memory_order_acquire) != last; };
    if (!spin_until(changed)) signal.wait(last, std::memory_order_acquire);
    last = signal.load(std::memory_order_acquire);
    if (stopping.load(std::memory_order_acquire)) return;
    run_pieces(index, member.working);
  }
}

void ThreadTeam::Impl::wait_for_members() {
  const auto finished = [&] { return done.load(std::memory_order_acquire) == pieces; };
  if (finished()) return;
  const TimePoint start = Clock::now();
  if (!spin_until(finished)) sleep_until_done();
  waited += seconds_since(start);
}

void ThreadTeam::Impl::sleep_until_done() {
  // Set before `done` is read, as who ends the job changes `done` before reading this.
  caller_sleeps.store(true);
  bool may_lend = spread;
  std::chrono::microseconds sleep = first_sleep;
  for (uint32_t seen; (seen = done.load()) != pieces;) {
    const TimePoint start = Clock::now();
    if (may_lend) {
      for (Member& member : members) member.ran = member.ran_now();
    }
    futex_wait(done, seen, sleep);
    sleep = std::min(2 * sleep, longest_sleep);
    if (may_lend && done.load() != pieces) may_lend = !lend_cpu(seconds_since(start));
  }
  caller_sleeps.store(false);
}

// Ends every thread that was started, also where starting them broke off.
ThreadTeam::Impl::~Impl() {
  stopping.store(true, std::memory_order_release);
  signal.fetch_add(1, std::memory_order_acq_rel);
  signal.notify_all();
  for (Member& member : members) {
    if (member.thread.joinable()) member.thread.join();
  }
}

ThreadTeam::ThreadTeam(int threads) : impl_(std::make_unique<Impl>()) {
  try {
    impl_->start(threads);
  } catch (const std::system_error& error) {
    fail(ErrorKind::limit, "cannot start {} threads: {} ran, then: {}", threads, size() - 1, error.what());
  }
}

ThreadTeam::~ThreadTeam() = default;

void ThreadTeam::measure_handover(double rate) {
  if (size() == 1) return;
  std::array<double, 16> seconds;
  for (double& one : seconds) {
    std::atomic<int> arrived = 0;
    const TimePoint start = Clock::now();
    parallel_for(2, most_unshared_work, [&](size_t, size_t, int) {
      arrived.fetch_add(1);
      spin_until([&] { return arrived.load() == 2; });  // or nobody came in time
    });
    one = seconds_since(start);
  }
  // Others may have held the cores up: the fourth of sixteen.
  std::nth_element(seconds.begin(), seconds.begin() + 3, seconds.end());
  impl_->least_shared =
      std::clamp(worth_a_handover * seconds[3] * rate, least_shared_work, most_unshared_work);
}

int ThreadTeam::size() const {
  return impl_->size();
}

double ThreadTeam::waited() const {
  return impl_->waited;
}

void ThreadTeam::parallel_for(size_t items, double work,
                              const std::function<void(size_t begin, size_t end, int member)>& body) {
  if (items == 0) return;
  const bool shared = size() > 1 && work >= impl_->least_shared;
  const uint32_t pieces = shared ? pieces_for(items, work, size()) : 1;
  if (pieces < 2) return body(0, items, 0);

  Impl& team = *impl_;
  if (team.spread) team.keep_members_off(sched_getcpu());
  team.body = &body;
  team.items = items;
  team.pieces = pieces;
  team.done.store(0, std::memory_order_relaxed);
  const uint64_t number = (team.work.load(std::memory_order_relaxed) >> 32) + 1;
  team.work.store(number << 32 | pieces, std::memory_order_release);
  team.signal.fetch_add(1, std::memory_order_acq_rel);
  team.signal.notify_all();

  std::atomic<bool> working;
  team.run_pieces(0, working);
  team.wait_for_members();
}

}  // namespace tern
