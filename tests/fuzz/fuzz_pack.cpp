// Any bytes as a packed file: refused by an Error, or parts that lie inside the bytes. As they are, and with
// a footer whose magic and hashes are right, which random bytes never have.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"
#include "model/packed_file.h"
#include "tests/fuzz/require.h"

namespace tern {
namespace {

/// The footer as model/packed_file.h describes it.
struct Footer {
  char magic[8];
  uint64_t low, high, bytes, chunks, sums_hash, hash;
};
static_assert(sizeof(Footer) == 56);

Footer footer_of(std::span<const std::byte> file) {
  Footer footer{};
  if (file.size() >= sizeof footer)
    std::memcpy(&footer, file.data() + file.size() - sizeof footer, sizeof footer);
  return footer;
}

bool consistent(const Footer& footer, size_t size) {
  constexpr uint64_t kChunk = uint64_t{16} << 20;
  if (size <= sizeof footer || footer.bytes > size - sizeof footer) return false;
  return footer.chunks == (footer.bytes + kChunk - 1) / kChunk &&
         footer.chunks * 8 == size - sizeof footer - footer.bytes;
}

/// Whether the file is taken for what its own footer says it was made from.
bool read(std::span<const std::byte> file, PackIdentity identity) {
  try {
    const PackedParts parts = read_packed(file, identity, "input");
    require(parts.blocks.data() == file.data(), "blocks begin the file");
    require(parts.sums == file.data() + parts.blocks.size(), "sums follow the blocks");
    require(parts.blocks.size() + parts.chunks * 8 + sizeof(Footer) == file.size(), "nothing else is in it");
    for (size_t chunk = 0; chunk < parts.chunks; ++chunk) (void)parts.intact(chunk);
    return true;
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::bad_input, error.what());
    return false;
  }
}

void mend(std::vector<std::byte>& file) {
  Footer footer = footer_of(file);
  std::memcpy(footer.magic, "ternpack", 8);
  if (consistent(footer, file.size()))
    footer.sums_hash = XXH3_64bits(file.data() + footer.bytes, footer.chunks * 8);
  footer.hash = XXH3_64bits(&footer, offsetof(Footer, hash));
  std::memcpy(file.data() + file.size() - sizeof footer, &footer, sizeof footer);
}

}  // namespace
}  // namespace tern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tern;
  const auto bytes = std::as_bytes(std::span(data, size));
  const Footer footer = footer_of(bytes);
  read(bytes, {footer.low, footer.high});
  if (size < sizeof footer) return 0;
  std::vector<std::byte> mended(bytes.begin(), bytes.end());
  mend(mended);
  require(read(mended, {footer.low, footer.high}) == consistent(footer, size),
          "taken where it is consistent");
  require(!read(mended, {footer.low ^ 1, footer.high}), "another model's is refused");
  return 0;
}
