// Large reads of a file that is mapped, past the page cache.
#pragma once

#include <cstddef>
#include <span>

#include "base/mapped_file.h"

namespace tern {

/// What is read once, to be kept in another form, has no use for the page cache: filling that takes memory,
/// and time to get it, for a second copy of the file.
class DirectFile {
 public:
  static constexpr size_t kAlignment = 4096;  ///< of what the kernel transfers: offsets, sizes and addresses

  /// `file` must outlive the object.
  explicit DirectFile(const MappedFile& file);
  DirectFile(const DirectFile&) = delete;
  ~DirectFile();

  /// Bytes of a buffer that holds any `bytes` of a file.
  static constexpr size_t room(size_t bytes) {
    return (bytes + kAlignment - 1) / kAlignment * kAlignment + kAlignment;
  }
  /// Bytes [offset, offset + bytes) of the file, which must be in it: where the page cache has them, in the
  /// map, else in `buffer`, room(bytes) at a multiple of kAlignment. Throws Error{io} where they can't be
  /// read. Any thread.
  std::span<const std::byte> read(size_t offset, size_t bytes, std::span<std::byte> buffer) const;
  /// Whether read() would find these bytes in the page cache.
  bool cached(size_t offset, size_t bytes) const;

 private:
  size_t read_pages(int descriptor, size_t begin, std::span<std::byte> buffer) const;

  const MappedFile& file_;
  bool knows_cached_;  ///< the kernel tells only who may write the file what of it is cached
  int direct_ = -1;    ///< the file, opened for direct reads, where it can be
};

}  // namespace tern
