#include "model/packed_file.h"

#include <sys/statvfs.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/atomic_file.h"
#include "base/checked.h"
#include "base/error.h"
#include "kernels/kernels.h"
#include "quant/types.h"

namespace tern {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are written as they lie in memory");

constexpr uint64_t kFormat = 2;  // also of what blocks hold, beyond the panels' layout
constexpr size_t kChunk = PackedFile::kChunk;
constexpr std::array<char, 8> kMagic = {'t', 'e', 'r', 'n', 'p', 'a', 'c', 'k'};

struct Footer {
  std::array<char, 8> magic = kMagic;
  PackIdentity identity;
  uint64_t bytes = 0, chunks = 0, sums_hash = 0, hash = 0;

  uint64_t computed_hash() const { return XXH3_64bits(this, offsetof(Footer, hash)); }
};
static_assert(sizeof(Footer) == 56 && std::is_trivially_copyable_v<Footer>);

class Identity {
 public:
  Identity() { XXH3_128bits_reset(&state_); }
  void add(std::span<const std::byte> bytes) {
    add_number(bytes.size());
    XXH3_128bits_update(&state_, bytes.data(), bytes.size());
  }
  void add(std::string_view text) { add(std::as_bytes(std::span(text))); }
  void add_number(uint64_t number) { XXH3_128bits_update(&state_, &number, sizeof number); }
  PackIdentity value() const {
    const XXH128_hash_t hash = XXH3_128bits_digest(&state_);
    return {hash.low64, hash.high64};
  }

 private:
  XXH3_state_t state_;
};

/// The panels of known rows of every type: another layout packs them to other bytes.
void add_layout(Identity& identity) {
  constexpr size_t kCols = 256, kAlignment = 64;
  constexpr uint32_t kTypes = 64;
  for (uint32_t number = 0; number < kTypes; ++number) {
    const auto known = find_dtype(number);
    if (!known) continue;
    std::vector<std::byte> rows(row_bytes(known->type, kCols) * kPanelRows);
    for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<std::byte>(i * 131 + i / 251);
    const size_t bytes = packed_bytes(known->type, kPanelRows, kCols);
    const std::unique_ptr<void, decltype(&std::free)> packed(std::aligned_alloc(kAlignment, bytes),
                                                             std::free);
    if (!packed) throw std::bad_alloc();
    auto* panel = static_cast<std::byte*>(packed.get());
    pack(known->type, rows.data(), kPanelRows, kCols, panel);
    identity.add({panel, bytes});
  }
}

void add_tensor(Identity& identity, const GgufTensor& tensor) {
  identity.add(tensor.name);
  identity.add_number(tensor.ggml_type);
  for (const uint64_t dim : tensor.dims) identity.add_number(dim);
  identity.add_number(static_cast<uint64_t>(tensor.data.data() - tensor.mapping->bytes().data()));
  identity.add_number(tensor.data.size());
}

/// Room for so many bytes on the disk, with a twentieth of it left.
void check_room(const std::string& path, uint64_t bytes) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  struct statvfs disk;
  if (::statvfs(folder.empty() ? "." : folder.c_str(), &disk) != 0) return;  // writing will tell
  const uint64_t free = disk.f_bavail * disk.f_frsize, kept = disk.f_blocks * disk.f_frsize / 20;
  if (free < kept || free - kept < bytes)
    fail(ErrorKind::limit, "{}: {} bytes, but the disk has {} free", path, bytes, free);
}

/// Gives the blocks and the zeros between them in pieces that end with chunks, and keeps each chunk's sum.
class ChunkWriter {
 public:
  ChunkWriter(AtomicFile& file, const std::atomic<bool>& stop, std::function<void()> wrote)
      : file_(file), stop_(stop), wrote_(std::move(wrote)) {
    XXH3_64bits_reset(&chunk_);
  }

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty() && !stop_) {
      const auto piece = bytes.first(std::min(bytes.size(), kChunk - in_chunk_));
      file_.write(piece);
      XXH3_64bits_update(&chunk_, piece.data(), piece.size());
      in_chunk_ += piece.size();
      if (in_chunk_ == kChunk) end_chunk();
      bytes = bytes.subspan(piece.size());
    }
  }
  void fill_up_to(uint64_t offset) {
    static constexpr std::array<std::byte, 4096> kZeros{};
    while (file_.written() < offset && !stop_)
      write(std::span(kZeros).first(std::min<uint64_t>(kZeros.size(), offset - file_.written())));
  }
  const std::vector<uint64_t>& finish() {
    if (in_chunk_ > 0) end_chunk();
    return sums_;
  }

 private:
  void end_chunk() {
    file_.sync_ahead();
    wrote_();
    sums_.push_back(XXH3_64bits_digest(&chunk_));
    XXH3_64bits_reset(&chunk_);
    in_chunk_ = 0;
  }

  AtomicFile& file_;
  const std::atomic<bool>& stop_;
  const std::function<void()> wrote_;  ///< behind each chunk
  XXH3_state_t chunk_;
  size_t in_chunk_ = 0;
  std::vector<uint64_t> sums_;
};

}  // namespace

std::optional<PackIdentity> pack_identity(const GgufFile& file, bool draft) {
  if (!file.folder().empty()) return std::nullopt;
  std::map<std::string, const MappedFile*> pieces;  // by path: an order that is the same in each run
  for (const GgufTensor& tensor : file.tensors()) {
    if (!tensor.mapping || tensor.make) return std::nullopt;
    pieces.emplace(tensor.mapping->path(), tensor.mapping);
  }
  Identity identity;
  identity.add_number(kFormat);
  add_layout(identity);
  identity.add_number(draft);
  for (const auto& [key, value] : file.metadata()) {
    identity.add(key);
    identity.add(file.stored(key));
  }
  for (const GgufTensor& tensor : file.tensors()) add_tensor(identity, tensor);
  for (const auto& [path, piece] : pieces) {
    identity.add_number(piece->bytes().size());
    identity.add_number(static_cast<uint64_t>(piece->modified_ns()));
  }
  return identity.value();
}

PackedParts read_packed(std::span<const std::byte> file, const PackIdentity& identity,
                        const std::string& name) {
  const auto require = [&](bool holds, const char* what) {
    if (!holds) fail(ErrorKind::bad_input, "{}: {}", name, what);
  };
  Footer footer;
  require(file.size() > sizeof footer, "expected packed weights, found a file that is too short");
  std::memcpy(&footer, file.data() + file.size() - sizeof footer, sizeof footer);
  require(footer.magic == kMagic, "expected packed weights, found no footer of such a file");
  require(footer.hash == footer.computed_hash(), "the footer is damaged");
  require(footer.identity == identity, "it was made from another model file, or by another tern");
  const uint64_t most = file.size() - sizeof footer;
  require(footer.bytes <= most && footer.chunks == footer.bytes / kChunk + (footer.bytes % kChunk != 0) &&
              footer.chunks * sizeof(uint64_t) == most - footer.bytes,
          "its size is not what its footer says");
  const PackedParts parts{file.first(footer.bytes), file.data() + footer.bytes, footer.chunks};
  require(footer.sums_hash == XXH3_64bits(parts.sums, parts.chunks * sizeof(uint64_t)),
          "the sums are damaged");
  return parts;
}

PackedFile::PackedFile(const std::string& path, const PackIdentity& identity)
    : file_(path), parts_(read_packed(file_.bytes(), identity, path)) {}

bool PackedParts::intact(size_t chunk) const {
  const auto bytes = blocks.subspan(chunk * kChunk);
  uint64_t sum = 0;
  std::memcpy(&sum, sums + chunk * sizeof sum, sizeof sum);
  return XXH3_64bits(bytes.data(), std::min(bytes.size(), kChunk)) == sum;
}

bool write_packed_file(const std::string& path, const PackIdentity& identity,
                       std::span<const PackBlock> blocks, const std::atomic<bool>& stop,
                       const ByteProgress& progress) {
  uint64_t bytes = 0;
  for (const PackBlock& block : blocks)
    bytes = checked_add(round_up(bytes, block.alignment), block.bytes, "packed weights");
  check_room(path, bytes);
  AtomicFile file(path);
  ChunkWriter chunks(file, stop, [&] {
    if (progress) progress(file.written(), bytes);
  });
  for (const PackBlock& block : blocks) {
    chunks.fill_up_to(round_up(file.written(), block.alignment));
    chunks.write({block.data, block.bytes});
  }
  if (stop) return false;
  const std::span sums(chunks.finish());
  Footer footer;
  footer.identity = identity;
  footer.bytes = bytes;
  footer.chunks = sums.size();
  footer.sums_hash = XXH3_64bits(sums.data(), sums.size_bytes());
  footer.hash = footer.computed_hash();
  file.write(std::as_bytes(sums));
  file.write(std::as_bytes(std::span(&footer, 1)));
  file.commit();
  return true;
}

}  // namespace tern
