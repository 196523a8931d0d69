// Files that are either the old one or the new one, never half of each.
#pragma once

#include <cstddef>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>

namespace tern {

/// Writes `path` through `path.tmp`: write(), then commit() syncs and renames.
/// Destroyed without commit(), the temporary file is removed and `path` is untouched.
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
  void commit();

 private:
  std::string path_;
  std::string temporary_;
  std::FILE* file_ = nullptr;
  size_t written_ = 0;
};

/// The whole text file; throws Error{io}, or Error{limit} over `most` bytes.
std::string read_file(const std::string& path, size_t most = size_t{1} << 30);
void write_file(const std::string& path, std::string_view text);

}  // namespace tern
