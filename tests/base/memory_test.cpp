#include "base/memory.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <new>
#include <thread>
#include <vector>

#include "base/atomic_file.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

void put(const TemporaryFolder& root, const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(root / path).parent_path());
  write_file(root / path, text);
}

TEST(Memory, ReadsTheKernelsEstimate) {
  EXPECT_EQ(parse_mem_available("MemTotal: 100 kB\nMemAvailable:   2000 kB\n"), 2000u * 1024);
  EXPECT_EQ(parse_mem_available("MemTotal: 100 kB\n"), std::nullopt);
  EXPECT_EQ(parse_mem_available("MemAvailable: lots kB\nMemAvailable: 18446744073709551615 kB"),
            std::nullopt);
  EXPECT_GT(available_memory(), 0u);
}

TEST(Memory, TheTightestGroupDecidesAndPageCacheIsFree) {
  const TemporaryFolder root;
  put(root, "a/memory.max", "5000\n");
  put(root, "a/memory.current", "3000\n");
  put(root, "a/memory.stat", "anon 1000\nfile 2000\n");
  put(root, "a/b/memory.max", "max\n");
  EXPECT_EQ(cgroup_memory_left(root.path(), "0::/a/b\n"), 4000u);
  put(root, "a/b/memory.max", "1000\n");
  put(root, "a/b/memory.current", "1500\n");
  EXPECT_EQ(cgroup_memory_left(root.path(), "0::/a/b\n"), 0u);
  EXPECT_EQ(cgroup_memory_left(root.path(), "0::/\n"), std::nullopt);
}

TEST(Memory, Version1HasFilesOfItsOwn) {
  const TemporaryFolder root;
  put(root, "memory/c/memory.limit_in_bytes", "7000\n");
  put(root, "memory/c/memory.usage_in_bytes", "1000\n");
  put(root, "memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(cgroup_memory_left(root.path(), "5:cpu:/c\n4:memory:/c\n"), 6000u);
  EXPECT_EQ(cgroup_memory_left(root.path(), "5:cpu:/c\nnonsense\n"), std::nullopt);
}

TEST(HugePages, AreAskedForWithoutHarm) {
  std::vector<std::byte> memory(3 * kHugePage + 100);
  for (size_t i = 0; i < memory.size(); i += 4096) memory[i] = static_cast<std::byte>(i / 4096);
  prefer_huge_pages(memory.data(), memory.size());
  prefer_huge_pages(memory.data() + 1, kHugePage - 1);  // no whole one lies in there
  prefer_huge_pages(nullptr, 0);
  for (size_t i = 0; i < memory.size(); i += 4096) ASSERT_EQ(memory[i], static_cast<std::byte>(i / 4096));
}

TEST(ZeroedMemory, IsZeroAndKeepsWhatIsWrittenWhileItIsCleared) {
  constexpr size_t kBytes = 160 * kHugePage + 12345;
  const ZeroedMemory memory(kBytes);
  for (size_t at = kBytes - 1; at > 99'991; at -= 99'991) {  // towards who clears it
    ASSERT_EQ(memory.data()[at], std::byte{0}) << at;
    memory.data()[at] = std::byte{7};
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  for (size_t at = kBytes - 1; at > 99'991; at -= 99'991) ASSERT_EQ(memory.data()[at], std::byte{7}) << at;
}

TEST(ZeroedMemory, EndsWhileItIsCleared) {
  for (int i = 0; i < 5; ++i) const ZeroedMemory memory(size_t{2} << 30);
  for (const size_t bytes : {size_t{0}, size_t{1}, kHugePage}) const ZeroedMemory memory(bytes);
  ZeroedMemory moved;
  moved = ZeroedMemory(100 * kHugePage);
  EXPECT_EQ(moved.data()[77 * kHugePage], std::byte{0});
  EXPECT_THROW(ZeroedMemory(size_t{1} << 60), std::bad_alloc);
}

TEST(Memory, HugePagesAreTriedInsideTheMemoryAlone) {
  for (const size_t bytes : {size_t{1}, kHugePage - 1, kHugePage, 5 * kHugePage + 77, 64 * kHugePage}) {
    const size_t room = (bytes / kHugePage + 2) * kHugePage;
    std::unique_ptr<std::byte, void (*)(void*)> memory(
        static_cast<std::byte*>(std::aligned_alloc(kHugePage, room)), std::free);
    std::memset(memory.get() + bytes, 7, room - bytes);
    try_huge_pages(memory.get(), bytes);
    for (size_t i = bytes; i < room; ++i) ASSERT_EQ(memory.get()[i], std::byte{7}) << bytes;
  }
}

}  // namespace
}  // namespace tern
