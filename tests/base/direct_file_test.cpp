#include "base/direct_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "base/atomic_file.h"
#include "base/error.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

class DirectFileTest : public testing::Test {
 protected:
  DirectFileTest() {
    for (size_t i = 0; i < 1'000'003; ++i) text.push_back(static_cast<char>(i * 31 + i / 256));
    write_file(path, text);
  }

  std::string read(const DirectFile& file, size_t offset, size_t bytes) {
    const size_t room = DirectFile::room(bytes);
    buffer.reset(static_cast<std::byte*>(std::aligned_alloc(DirectFile::kAlignment, room)));
    const auto got = file.read(offset, bytes, {buffer.get(), room});
    in_buffer = got.data() >= buffer.get() && got.data() < buffer.get() + room;
    return {reinterpret_cast<const char*>(got.data()), got.size()};
  }

  /// The page cache forgets the file; false where the file system keeps it in memory anyway.
  bool forget() const {
    const int fd = ::open(path.c_str(), O_RDONLY);
    ::fsync(fd);
    ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    ::close(fd);
    return !DirectFile(MappedFile(path)).cached(0, text.size());
  }

  struct Free {
    void operator()(std::byte* memory) const { std::free(memory); }
  };
  const TemporaryFolder folder;
  const std::string path = folder / "file";
  std::string text;
  std::unique_ptr<std::byte, Free> buffer;
  bool in_buffer = false;
};

TEST_F(DirectFileTest, GivesTheBytesFromAnyPlaceCachedOrNot) {
  for (const bool cached : {true, false}) {
    if (!cached && !forget()) GTEST_SKIP() << "this file system has no files outside of memory";
    const MappedFile mapped(path);
    const DirectFile file(mapped);
    for (const size_t offset : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, size_t{12'345}}) {
      for (const size_t bytes : {size_t{1}, size_t{4096}, size_t{100'000}, text.size() - offset}) {
        EXPECT_EQ(read(file, offset, bytes), text.substr(offset, bytes)) << offset << " " << bytes;
        EXPECT_EQ(in_buffer, !cached) << offset << " " << bytes;
      }
    }
    EXPECT_EQ(file.cached(0, text.size()), cached) << "reading does not fill the page cache";
  }
}

TEST_F(DirectFileTest, ShorterThanItWasIsAnErrorThatNamesThePlace) {
  const MappedFile mapped(path);
  const DirectFile file(mapped);
  ASSERT_EQ(::truncate(path.c_str(), 500'000), 0);
  expect_error(ErrorKind::io, {path, "100000 bytes at 450000", "shorter"},
               [&] { read(file, 450'000, 100'000); });
}

TEST_F(DirectFileTest, TheFileThatIsMappedIsReadWhoeverHasItsNameNow) {
  const MappedFile mapped(path);
  const DirectFile file(mapped);
  write_file(path, "another");
  EXPECT_EQ(read(file, 600'000, 1'000), text.substr(600'000, 1'000));
}

}  // namespace
}  // namespace tern
