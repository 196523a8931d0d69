// Files that lie, and small true ones beside them. The tests read them, and so do the fuzz targets: as their
// seeds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace tern {

struct HostileFile {
  std::string name;  ///< what it lies about, fit for a file's name
  std::string bytes;
  ErrorKind kind = ErrorKind::bad_input;
  std::vector<std::string> mentions;  ///< what the error's message must contain
};

/// Bytes of a GGUF file laid down without any check.
class RawGguf {
 public:
  RawGguf(uint32_t version, uint64_t tensors, uint64_t keys);

  template <typename T>
  RawGguf& number(T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    bytes_.append(bytes, sizeof(T));
    return *this;
  }
  RawGguf& text(std::string_view text);  ///< its length, then its bytes
  /// A key with the type of the value that follows.
  RawGguf& key(std::string_view key, uint32_t type);
  RawGguf& tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset);
  /// Zeros up to a multiple of `alignment`, then `size` bytes that count up.
  RawGguf& data(size_t size, size_t alignment = 32);

  operator std::string() const { return bytes_; }

 private:
  std::string bytes_;
};

/// Every value type and tensors of every type that tern runs; ends with the last tensor's last byte.
std::string valid_gguf(uint32_t version = 3);
std::vector<HostileFile> hostile_ggufs();

/// A safetensors file of this header and this many data bytes; the length is true.
std::string raw_safetensors(std::string_view header, size_t data_bytes);
std::string valid_safetensors();
std::vector<HostileFile> hostile_safetensors();

inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

}  // namespace tern
