#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <utility>

#include "base/atomic_file.h"
#include "base/mapped_file.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

std::string text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

void put(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST(MappedFile, ShowsTheFile) {
  const TemporaryFolder folder;
  const std::string path = folder / "a";
  put(path, std::string("one\0two", 7));
  const MappedFile file(path);
  EXPECT_EQ(text_of(file), std::string("one\0two", 7));
  EXPECT_EQ(file.path(), path);
}

TEST(MappedFile, MapsAnEmptyFileToNothing) {
  const TemporaryFolder folder;
  put(folder / "empty", "");
  EXPECT_TRUE(MappedFile(folder / "empty").bytes().empty());
}

TEST(MappedFile, NamesWhatItCannotOpen) {
  const TemporaryFolder folder;
  const std::string missing = folder / "missing";
  expect_error(ErrorKind::io, {missing, "No such file"}, [&] { MappedFile file(missing); });
  expect_error(ErrorKind::io, {folder.path().string(), "not a regular file"},
               [&] { MappedFile file(folder.path().string()); });
  const std::string fifo = folder / "fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  // Held open for reading and writing, so that opening it again does not wait for another end.
  std::fstream held(fifo);
  expect_error(ErrorKind::io, {fifo, "not a regular file"}, [&] { MappedFile file(fifo); });
}

TEST(MappedFile, SurvivesMovesAndReleasedPages) {
  const TemporaryFolder folder;
  const std::string text(100'000, 'x');
  put(folder / "a", text);
  put(folder / "b", "b");
  MappedFile first(folder / "a");
  MappedFile second(std::move(first));
  MappedFile third(folder / "b");
  third = std::move(second);
  third.release(1, 99'000);
  third.release(0, 1'000'000);  // beyond the end: cut to the file
  EXPECT_EQ(text_of(third), text);
  EXPECT_EQ(third.path(), folder / "a");
}

TEST(AtomicFile, SyncedAsItGoesIsTheSameFile) {
  const TemporaryFolder folder;
  const std::string path = folder / "large";
  std::string all;
  AtomicFile file(path);
  for (int i = 0; i < 20; ++i) {
    const std::string piece(100'003, static_cast<char>('a' + i));
    file.write(piece);
    all += piece;
    if (i % 3 == 0) file.sync_ahead();
    if (i == 6) file.sync_ahead();  // nothing new
    EXPECT_FALSE(std::filesystem::exists(path));
  }
  file.commit();
  EXPECT_EQ(read_file(path), all);
}

TEST(AtomicFile, ReplacesOnCommitOnly) {
  const TemporaryFolder folder;
  const std::string path = folder / "model";
  write_file(path, "old");
  {
    AtomicFile dropped(path);
    dropped.write("half of the n");
    EXPECT_EQ(dropped.written(), 13u);
  }
  EXPECT_EQ(read_file(path), "old");
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
  AtomicFile file(path);
  file.write(std::span<const std::byte>());
  file.write("ne");
  file.write("w");
  EXPECT_EQ(read_file(path), "old");
  file.commit();
  EXPECT_EQ(read_file(path), "new");
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(AtomicFile, NamesWhatItCannotWrite) {
  const TemporaryFolder folder;
  const std::string nowhere = folder / "no/such/folder";
  expect_error(ErrorKind::io, {nowhere}, [&] { AtomicFile file(nowhere); });
  // The target became a folder in the meantime: rename fails, and nothing is left behind.
  const std::string path = folder / "taken";
  AtomicFile file(path);
  file.write("text");
  std::filesystem::create_directories(path + "/inside");
  expect_error(ErrorKind::io, {path}, [&] { file.commit(); });
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(AtomicFile, NoticesThatTheDiskTakesNoMore) {
  const TemporaryFolder folder;
  const std::string path = folder / "model";
  signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{100'000, before.rlim_max};
  AtomicFile file(path);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  expect_error(ErrorKind::io, {path, "File too large"}, [&] {
    for (int i = 0; i < 100; ++i) file.write(std::string(10'000, 'x'));
    file.commit();
  });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(AtomicFile, AKilledWriterLeavesNothingBehind) {
  const TemporaryFolder folder;
  const std::string path = folder / "model";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    AtomicFile file(path);
    file.write(std::string(100'000, 'x'));
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const bool nameless = std::filesystem::is_empty(folder.path());
  // Where the file system has no nameless files.
  if (!nameless) {
    EXPECT_TRUE(std::filesystem::exists(path + ".tmp"));
  }
  write_file(path, "whole");
  EXPECT_EQ(read_file(path), "whole");
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(ReadFile, HoldsItsLimit) {
  const TemporaryFolder folder;
  const std::string path = folder / "text";
  write_file(path, "12345");
  EXPECT_EQ(read_file(path, 5), "12345");
  expect_error(ErrorKind::limit, {path, "4 bytes"}, [&] { read_file(path, 4); });
  expect_error(ErrorKind::io, {"missing"}, [&] { read_file(folder / "missing"); });
  expect_error(ErrorKind::io, {folder.path().string()}, [&] { read_file(folder.path().string()); });
}

}  // namespace
}  // namespace tern
