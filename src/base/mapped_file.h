// A read-only file mapped into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace tern {

class MappedFile {
 public:
  /// Maps the whole file. Throws Error{io} naming the path. An empty file maps to an empty span.
  explicit MappedFile(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }
  /// When its content changed last before it was mapped: nanoseconds since 1970.
  int64_t modified_ns() const { return modified_ns_; }
  /// Open for reading as long as the object lives; -1 for an empty file.
  int descriptor() const { return descriptor_; }
  /// Tells the kernel that the pages covering [offset, offset + size) will not be read again soon.
  void release(size_t offset, size_t size) const;

 private:
  std::string path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  int64_t modified_ns_ = 0;
  int descriptor_ = -1;
};

}  // namespace tern
