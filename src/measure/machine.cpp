#include "measure/machine.h"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "base/clock.h"
#include "base/thread_team.h"

namespace tern {
namespace {

constexpr size_t buffer_bytes = size_t{256} << 20;
constexpr size_t piece_bytes = size_t{1} << 20;
constexpr size_t pieces = buffer_bytes / piece_bytes;

/// Memory that is there, page by page, and given back.
class Buffer {
 public:
  Buffer()
      : bytes_(::mmap(nullptr, buffer_bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0)) {
    // Zero pages of a fresh mapping may be one and the same; written ones are not.
    if (*this) std::memset(bytes_, 1, buffer_bytes);
  }
  Buffer(const Buffer&) = delete;
  ~Buffer() {
    if (*this) ::munmap(bytes_, buffer_bytes);
  }
  explicit operator bool() const { return bytes_ != MAP_FAILED; }
  const std::byte* data() const { return static_cast<const std::byte*>(bytes_); }

 private:
  void* bytes_;
};

/// Reads all of `bytes` at the speed of memory: eight sums that don't wait for each other.
uint64_t read_all(const std::byte* bytes, size_t size) {
  std::array<uint64_t, 8> sums{};
  for (size_t i = 0; i < size; i += 64) {
    std::array<uint64_t, 8> line;
    std::memcpy(line.data(), bytes + i, 64);
    for (size_t j = 0; j < 8; ++j) sums[j] += line[j];
  }
  uint64_t sum = 0;
  for (const uint64_t part : sums) sum += part;
  return sum;
}

}  // namespace

double measure_read_bandwidth(int threads, double seconds) {
  const Buffer buffer;
  if (!buffer) return 0;
  ThreadTeam team(threads);
  std::atomic<uint64_t> sink{0};  // what was read must be used, or it isn't read
  double best = 0;
  const TimePoint begin = Clock::now();
  do {
    const TimePoint start = Clock::now();
    team.parallel_for(pieces, static_cast<double>(buffer_bytes), [&](size_t first, size_t last, int) {
      for (size_t i = first; i < last; ++i) sink += read_all(buffer.data() + i * piece_bytes, piece_bytes);
    });
    best = std::max(best, static_cast<double>(buffer_bytes) / seconds_since(start));
  } while (seconds_since(begin) < seconds);
  return best;
}

double measure_int8_peak(const Kernels& kernels, int threads, double seconds) {
  constexpr size_t kRounds = 20000;
  ThreadTeam team(threads);
  const size_t jobs = static_cast<size_t>(team.size()) * 8;
  double best = 0;
  const TimePoint begin = Clock::now();
  do {
    const TimePoint start = Clock::now();
    std::atomic<uint64_t> products{0};
    team.parallel_for(jobs, 1e9, [&](size_t first, size_t last, int) {
      for (size_t i = first; i < last; ++i) products += kernels.spin_products(kRounds);
    });
    best = std::max(best, 2 * static_cast<double>(products) / seconds_since(start));
  } while (seconds_since(begin) < seconds);
  return best;
}

MachineLimits measure_machine(Isa isa, int threads, double seconds) {
  return {threads, isa, measure_read_bandwidth(threads, seconds),
          measure_int8_peak(kernels(isa), threads, seconds)};
}

}  // namespace tern
