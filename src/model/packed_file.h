// Packed weights kept in a file, which the next start maps instead of packing again.
//
//   blocks   what WeightMemory gave out, in that order, each at the next multiple of its alignment
//   sums     XXH3 (64 bits) of each chunk of 16 MiB of the blocks, the last one shorter
//   footer   "ternpack", then six numbers of 64 bits, little-endian: the identity's two, bytes of blocks,
//            chunks, XXH3 of the sums, XXH3 of the footer before it
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "base/mapped_file.h"
#include "base/progress.h"
#include "files/gguf.h"

namespace tern {

/// What a packed file was made from and how: it is of use where they are the same.
struct PackIdentity {
  uint64_t low = 0, high = 0;
  bool operator==(const PackIdentity&) const = default;
};

/// From the model's keys and tensors, the sizes and times of change of its files, and the layout of packed
/// panels. None for a model that isn't mapped from files as it is (the embedded one, a Hugging Face folder
/// whose tensors have to be made).
std::optional<PackIdentity> pack_identity(const GgufFile& file, bool draft);

/// A block of memory that goes into the file.
struct PackBlock {
  const std::byte* data = nullptr;
  uint64_t bytes = 0;  ///< a multiple of the alignment
  size_t alignment = 1;
};

/// Where a packed file's parts lie in its bytes.
struct PackedParts {
  std::span<const std::byte> blocks;
  const std::byte* sums = nullptr;  ///< 8 bytes a chunk
  size_t chunks = 0;

  /// Reads a chunk of the blocks and compares its sum. Any thread.
  bool intact(size_t chunk) const;
};

/// Checks all but the blocks. Throws Error{bad_input} where `file` is not whole or was made from something
/// else; the message begins with `name`.
PackedParts read_packed(std::span<const std::byte> file, const PackIdentity& identity,
                        const std::string& name);

class PackedFile {
 public:
  static constexpr size_t kChunk = size_t{16} << 20;  ///< bytes of blocks with a sum of their own

  /// Maps it; throws Error{io} where it can't be read, else as read_packed().
  PackedFile(const std::string& path, const PackIdentity& identity);

  const std::string& path() const { return file_.path(); }
  std::span<const std::byte> blocks() const { return parts_.blocks; }
  size_t chunks() const { return parts_.chunks; }
  bool intact(size_t chunk) const { return parts_.intact(chunk); }
  const MappedFile& file() const { return file_; }

 private:
  MappedFile file_;
  PackedParts parts_;
};

/// Writes the file atomically and tells how many of its bytes are written; false where `stop` ended it, which
/// leaves nothing. What is written goes to the disk as it comes, so that little is left to wait for at the
/// end. Throws Error{io}, and Error{limit} where the disk would be left with less than a twentieth free.
bool write_packed_file(const std::string& path, const PackIdentity& identity,
                       std::span<const PackBlock> blocks, const std::atomic<bool>& stop,
                       const ByteProgress& progress = {});

}  // namespace tern
