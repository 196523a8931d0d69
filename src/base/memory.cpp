#include "base/memory.h"

#include <sys/mman.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <new>
#include <sstream>
#include <utility>

#include "base/threads.h"

namespace tern {
namespace {

constexpr uint64_t unlimited = uint64_t{1} << 60;  // version 1 writes a number near 2^63 for no limit

std::string read_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  uint64_t number = 0;
  if (!(file >> number)) return std::nullopt;  // "max", or no such file
  return number;
}

/// The number behind `key` in lines of "key number".
uint64_t statistic(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string name;
  for (uint64_t number = 0; file >> name >> number;) {
    if (name == key) return number;
  }
  return 0;
}

std::optional<uint64_t> group_left(const std::string& folder) {
  const auto v2 = read_number(folder + "/memory.max");
  const auto limit = v2 ? v2 : read_number(folder + "/memory.limit_in_bytes");
  if (!limit || *limit >= unlimited) return std::nullopt;
  const uint64_t used = read_number(folder + (v2 ? "/memory.current" : "/memory.usage_in_bytes")).value_or(0);
  const std::string statistics = folder + "/memory.stat";
  const uint64_t cached = std::min(used, statistic(statistics, v2 ? "file" : "total_cache"));
  return *limit - std::min(*limit, used - cached);
}

/// Where a line "ID:CONTROLLERS:PATH" may be mounted; nowhere if it has no memory controller.
std::string mount_of(const std::string& root, const std::string& controllers) {
  if (controllers.empty()) return root;
  return ("," + controllers + ",").find(",memory,") == std::string::npos ? "" : root + "/memory";
}

}  // namespace

std::optional<uint64_t> parse_mem_available(const std::string& meminfo) {
  std::istringstream lines(meminfo);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string name;
    uint64_t kilobytes = 0;
    if (words >> name >> kilobytes && name == "MemAvailable:" && kilobytes < unlimited / 1024)
      return kilobytes * 1024;
  }
  return std::nullopt;
}

std::optional<uint64_t> cgroup_memory_left(const std::string& root, const std::string& memberships) {
  std::optional<uint64_t> least;
  std::istringstream lines(memberships);
  for (std::string line; std::getline(lines, line);) {
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string mount = mount_of(root, line.substr(first + 1, second - first - 1));
    if (mount.empty()) continue;
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    while (true) {  // from the group itself up to the mount
      const auto left = group_left(mount + path);
      if (left && (!least || *left < *least)) least = left;
      const size_t slash = path.find_last_of('/');
      if (slash == std::string::npos) break;
      path.resize(slash);
    }
  }
  return least;
}

uint64_t available_memory() {
  const auto free = parse_mem_available(read_text("/proc/meminfo"));
  const auto left = cgroup_memory_left("/sys/fs/cgroup", read_text("/proc/self/cgroup"));
  return std::min(free.value_or(left.value_or(0)), left.value_or(UINT64_MAX));
}

void prefer_huge_pages(void* begin, size_t bytes) {
  const auto address = reinterpret_cast<uintptr_t>(begin);
  const uintptr_t first = (address + kHugePage - 1) / kHugePage * kHugePage;
  const uintptr_t last = (address + bytes) / kHugePage * kHugePage;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
}

namespace {

double thread_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

bool try_huge_pages(std::byte* begin, size_t bytes) {
  constexpr size_t kTried = 4;
  constexpr double kSlow = 2e-3;  // seconds: 1 GB/s; usual are 5 to 20
  prefer_huge_pages(begin, bytes);
  const size_t pages = bytes / kHugePage, step = std::max<size_t>(1, pages / kTried);
  for (size_t page = 0; page < pages; page += step) {
    const double start = thread_seconds();
    begin[page * kHugePage] = std::byte{0};
    if (thread_seconds() - start < kSlow) continue;
    ::madvise(begin, pages * kHugePage, MADV_NOHUGEPAGE);
    return false;
  }
  return true;
}

namespace {

constexpr size_t kStep = 4 * kHugePage;    // cleared at once: who ends waits for it
constexpr size_t kLeast = 32 * kHugePage;  // less is cleared when it is touched

/// Makes the kernel give the pages now instead of when they are touched first. What is written in them
/// meanwhile stays. Kernels before 5.14 refuse.
void populate(std::stop_token stop, std::byte* begin, size_t bytes) {
  const auto address = reinterpret_cast<uintptr_t>(begin);
  const uintptr_t last = (address + bytes) / kHugePage * kHugePage;
  for (uintptr_t at = (address + kHugePage - 1) / kHugePage * kHugePage; at < last && !stop.stop_requested();
       at += kStep) {
    if (::madvise(reinterpret_cast<void*>(at), std::min(kStep, last - at), MADV_POPULATE_WRITE) != 0) return;
  }
}

}  // namespace

ZeroedMemory::ZeroedMemory(size_t bytes) : data_(static_cast<std::byte*>(std::calloc(bytes, 1))) {
  if (!data_) throw std::bad_alloc();
  prefer_huge_pages(data_.get(), bytes);
  if (bytes < kLeast) return;
  clearing_ = std::jthread([begin = data_.get(), bytes](std::stop_token stop) {
    name_thread("tern-memory");
    prefer_others();
    populate(std::move(stop), begin, bytes);
  });
}

void ZeroedMemory::Free::operator()(std::byte* data) const {
  std::free(data);
}

}  // namespace tern
