// Files that are either the old one or the new one, never half of each.
#pragma once

#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace tern {

/// Writes a file that has no name before commit() syncs it and puts it in the place of `path`: a process
/// killed at any moment leaves nothing behind. Where the file system has no nameless files it is `path.tmp`,
/// which only an unclean death leaves and the next writer of `path` takes over.
/// Destroyed without commit(), `path` is untouched.
class AtomicFile {
 public:
  /// Throws Error{io} naming the path.
  explicit AtomicFile(const std::string& path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  size_t written() const { return written_; }
  /// Has the disk write what was written since the last call, and waits until it has written what was before
  /// that. Of a large file that calls this now and then, commit() has little left to wait for.
  void sync_ahead();
  void commit();

 private:
  bool give_name();

  std::string path_;
  std::string temporary_;
  bool nameless_ = false;
  std::FILE* file_ = nullptr;
  size_t written_ = 0;
  size_t syncing_ = 0, synced_ = 0;  ///< up to where the disk was asked to write, and where it has written
};

/// The whole text file; throws Error{io}, or Error{limit} over `most` bytes.
std::string read_file(const std::string& path, size_t most = size_t{1} << 30);
void write_file(const std::string& path, std::string_view text);

}  // namespace tern
