// GGUF files that lie: refused with an error that names the thing, and without asking for memory first.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>

#include "files/gguf.h"
#include "files/gguf_format.h"
#include "tests/allocations.h"
#include "tests/expect_error.h"
#include "tests/files/hostile.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

/// No single allocation may be larger than this: what is read may take more memory than it takes in the file
/// (an empty string's 8 bytes become 32), but only by a small factor.
size_t allowed_allocation(size_t file_bytes) {
  return 4096 + 8 * file_bytes;
}

/// What a file that was read must keep to, whatever is in it.
void expect_sound(const GgufFile& file, std::string_view bytes) {
  std::vector<std::pair<const std::byte*, const std::byte*>> extents;
  for (const GgufTensor& tensor : file.tensors()) {
    const auto type = find_dtype(tensor.ggml_type);
    ASSERT_GE(tensor.dims.size(), 1u);
    ASSERT_LE(tensor.dims.size(), 4u);
    ASSERT_EQ(tensor.data.size(), type ? row_bytes(type->type, tensor.elements()) : 0u);
    ASSERT_EQ(file.find_tensor(tensor.name), &tensor);
    if (tensor.data.empty()) continue;
    ASSERT_GE(tensor.data.data(), bytes_of(bytes).data());
    ASSERT_LE(tensor.data.data() + tensor.data.size(), bytes_of(bytes).data() + bytes.size());
    extents.emplace_back(tensor.data.data(), tensor.data.data() + tensor.data.size());
  }
  std::sort(extents.begin(), extents.end());
  for (size_t i = 1; i < extents.size(); ++i) ASSERT_LE(extents[i - 1].second, extents[i].first);
  for (const auto& [key, value] : file.metadata()) ASSERT_EQ(file.find(key), &value);
}

/// Parses an exact copy (so that a sanitizer sees every byte read beyond it); false where it was refused.
bool parse_soundly(std::string_view file) {
  const auto exact = std::make_unique<char[]>(file.size());
  std::copy(file.begin(), file.end(), exact.get());
  const std::string_view bytes(exact.get(), file.size());
  watch_allocations();
  std::optional<GgufFile> parsed;
  try {
    parsed = GgufFile::parse(bytes_of(bytes), "mutated.gguf");
  } catch (const Error& error) {
    EXPECT_NE(error.kind(), ErrorKind::internal) << error.what();
    EXPECT_NE(std::string(error.what()).find("mutated.gguf"), std::string::npos) << error.what();
  }
  EXPECT_LE(allocations().largest, allowed_allocation(bytes.size()));
  if (parsed) expect_sound(*parsed, bytes);
  return parsed.has_value();
}

TEST(GgufHostile, EachLieIsNamed) {
  for (const HostileFile& hostile : hostile_ggufs()) {
    SCOPED_TRACE(hostile.name);
    auto mentions = hostile.mentions;
    mentions.push_back(hostile.name + ".gguf");
    watch_allocations();
    expect_error_range(hostile.kind, mentions,
                       [&] { GgufFile::parse(bytes_of(hostile.bytes), hostile.name + ".gguf"); });
    EXPECT_LE(allocations().largest, allowed_allocation(hostile.bytes.size()));
  }
}

TEST(GgufHostile, OpenNamesThePath) {
  const TemporaryFolder folder;
  const std::string path = folder / "none.gguf";
  expect_error(ErrorKind::io, {path}, [&] { GgufFile::open(path); });
  expect_error(ErrorKind::io, {folder.path().string()}, [&] { GgufFile::open(folder.path().string()); });
}

TEST(GgufHostile, ArraysAreBoundedInAll) {
  const uint64_t half = gguf::most_array_elements / 2 + 1;
  RawGguf raw(3, 0, 2);
  const std::string zeros(half, '\0');
  std::string bytes = raw.key("a", 9).number<uint32_t>(0).number<uint64_t>(half);
  bytes += zeros;
  // The second array, as RawGguf lays it down after its 24 bytes of header.
  bytes += std::string(RawGguf(3, 0, 0).key("b", 9).number<uint32_t>(0).number<uint64_t>(half)).substr(24);
  bytes += zeros;
  expect_error(ErrorKind::limit, {"'b'", "16777216"}, [&] { GgufFile::parse(bytes_of(bytes), "x"); });
}

TEST(GgufHostile, EveryTruncationIsRefused) {
  const std::string whole = valid_gguf();
  for (size_t n = 0; n < whole.size(); ++n) {
    ASSERT_FALSE(parse_soundly(std::string_view(whole).substr(0, n)))
        << n << " of " << whole.size() << " bytes";
  }
  EXPECT_TRUE(parse_soundly(whole));
}

TEST(GgufHostile, FlippedBytesAreRefusedOrReadSoundly) {
  const std::string whole = valid_gguf();
  const size_t head = whole.size() - 352;
  size_t read = 0;
  for (size_t at = 0; at < head; ++at) {
    for (const int change : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ change);
      read += parse_soundly(flipped) ? 1 : 0;
    }
  }
  // Bytes of values and names may change and be right still; a reader that took everything would be broken.
  EXPECT_GT(read, 100u);
  EXPECT_LT(read, head * 9 / 2);
}

TEST(GgufHostile, LargeNumbersAnywhereAreRefusedOrReadSoundly) {
  const std::string whole = valid_gguf();
  for (size_t at = 4; at + 8 <= whole.size() - 352; ++at) {
    for (const uint64_t value :
         {uint64_t{0}, UINT64_MAX, uint64_t{1} << 63, uint64_t{1} << 62, uint64_t{1} << 32,
          uint64_t{0x7fffffffffffffff}, uint64_t{0xffffffff}, uint64_t{0x80000000}}) {
      std::string changed = whole;
      std::memcpy(changed.data() + at, &value, 8);
      parse_soundly(changed);
    }
  }
}

}  // namespace
}  // namespace tern
