// How much memory this process may really take, and of which pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>

namespace tern {

/// Bytes that can be taken without pushing anything out: the kernel's estimate (MemAvailable), or what the
/// cgroup leaves where that is less. 0 where nobody knows.
uint64_t available_memory();

/// MemAvailable of a text like /proc/meminfo, in bytes.
std::optional<uint64_t> parse_mem_available(const std::string& meminfo);

/// What the memory limits leave to a process whose /proc/self/cgroup reads `memberships`, where the cgroup
/// file systems are mounted under `root`: the least of its group's and of every group's above, by version 2
/// (memory.max) and version 1. Page cache counts as free. Nothing where there is no limit.
std::optional<uint64_t> cgroup_memory_left(const std::string& root, const std::string& memberships);

inline constexpr size_t kHugePage = size_t{2} << 20;

/// Asks for huge pages where whole ones lie in this memory, before it is touched first: what is streamed
/// through once a token misses the TLB with every small page. Where the kernel has none to give, nothing
/// happens.
void prefer_huge_pages(void* begin, size_t bytes);

/// The same, but first a few of the huge pages are touched, and where one takes this thread more than 2 ms,
/// small ones are asked for instead and false is returned: a virtual machine whose host gives it memory only
/// as it touches it can be many times slower with huge pages. The memory is new (some of it is written), at a
/// multiple of kHugePage.
bool try_huge_pages(std::byte* begin, size_t bytes);

/// Zeros, of huge pages where there are any. The memory is this process's from the start, but the kernel
/// clears its pages in the background: gigabytes take seconds.
class ZeroedMemory {
 public:
  ZeroedMemory() = default;
  /// Throws std::bad_alloc.
  explicit ZeroedMemory(size_t bytes);

  std::byte* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::jthread clearing_;  ///< last, so that it ends before the memory
};

}  // namespace tern
