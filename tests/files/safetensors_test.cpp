#include "files/safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/allocations.h"
#include "tests/expect_error.h"
#include "tests/files/hostile.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

std::vector<std::byte> counting(size_t n) {
  std::vector<std::byte> bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<std::byte>(i * 7);
  return bytes;
}

bool same(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

/// Parses an exact copy, so that a sanitizer sees every byte read beyond it; false where it was refused.
bool parse_soundly(std::string_view file) {
  const auto exact = std::make_unique<char[]>(file.size());
  std::copy(file.begin(), file.end(), exact.get());
  const std::string_view bytes(exact.get(), file.size());
  watch_allocations();
  std::optional<SafetensorsFile> parsed;
  try {
    parsed = SafetensorsFile::parse(bytes_of(bytes), "mutated.safetensors");
  } catch (const Error& error) {
    EXPECT_NE(error.kind(), ErrorKind::internal) << error.what();
    EXPECT_NE(std::string(error.what()).find("mutated.safetensors"), std::string::npos) << error.what();
  }
  EXPECT_LE(allocations().largest, 4096 + 16 * bytes.size());
  if (!parsed) return false;
  size_t total = 0;
  for (const auto& [name, tensor] : parsed->tensors()) {
    EXPECT_GE(tensor.data.data(), bytes_of(bytes).data());
    EXPECT_LE(tensor.data.data() + tensor.data.size(), bytes_of(bytes).data() + bytes.size());
    total += tensor.data.size();
  }
  EXPECT_LE(total + 8, bytes.size());
  return true;
}

TEST(Safetensors, ReadsShapesTypesAndMetadata) {
  const std::string bytes = valid_safetensors();
  const auto file = SafetensorsFile::parse(bytes_of(bytes), "small.safetensors");
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}, {"name", "tést"}}));
  ASSERT_EQ(file.tensors().size(), 4u);
  const SafeTensor& b = file.tensor("b.weight");
  EXPECT_EQ(b.dtype, "BF16");
  EXPECT_EQ(b.shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_EQ(b.data.data(), bytes_of(bytes).data() + bytes.size() - 20);
  EXPECT_EQ(b.data.size(), 12u);
  EXPECT_TRUE(file.tensor("none").data.empty());
  EXPECT_TRUE(file.tensor("scalar").shape.empty());
  EXPECT_EQ(file.tensor("scalar").data.size(), 8u);
  expect_error(ErrorKind::bad_input, {"small.safetensors", "'c'"}, [&] { file.tensor("c"); });
}

TEST(Safetensors, AnEmptyFileOfTheFormatIsRead) {
  const std::string bytes = raw_safetensors("{}", 0);
  EXPECT_TRUE(SafetensorsFile::parse(bytes_of(bytes), "x").tensors().empty());
}

TEST(Safetensors, EachLieIsNamed) {
  for (const HostileFile& hostile : hostile_safetensors()) {
    SCOPED_TRACE(hostile.name);
    auto mentions = hostile.mentions;
    mentions.push_back(hostile.name + ".safetensors");
    watch_allocations();
    expect_error_range(hostile.kind, mentions, [&] {
      SafetensorsFile::parse(bytes_of(hostile.bytes), hostile.name + ".safetensors");
    });
    EXPECT_LE(allocations().largest, 4096 + 16 * hostile.bytes.size());
  }
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string whole = valid_safetensors();
  for (size_t n = 0; n < whole.size(); ++n) {
    ASSERT_FALSE(parse_soundly(std::string_view(whole).substr(0, n)))
        << n << " of " << whole.size() << " bytes";
  }
  EXPECT_TRUE(parse_soundly(whole));
}

TEST(Safetensors, FlippedBytesAreRefusedOrReadSoundly) {
  const std::string whole = valid_safetensors();
  size_t read = 0;
  for (size_t at = 0; at < whole.size() - 28; ++at) {
    for (const int change : {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff}) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ change);
      read += parse_soundly(flipped) ? 1 : 0;
    }
  }
  EXPECT_GT(read, 50u);
  EXPECT_LT(read, whole.size() * 9 / 2);
}

TEST(SafetensorsWriter, WhatItWritesIsReadBack) {
  SafetensorsWriter writer;
  writer.add("odd", "U8", {3}, counting(3));
  writer.add("model.embed \"ü\"", "F32", {2, 2}, counting(16));
  writer.add("scalar", "I64", {}, counting(8));
  writer.add("none", "F16", {0, 4}, {});
  writer.add("half", "BF16", {5}, counting(10));
  writer.add_metadata("format", "pt");
  const TemporaryFolder folder;
  writer.write(folder / "model.safetensors");
  const auto file = SafetensorsFile::open(folder / "model.safetensors");
  const MappedFile mapped(folder / "model.safetensors");
  EXPECT_TRUE(same(mapped.bytes(), writer.bytes()));
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ(file.tensors().size(), 5u);
  EXPECT_TRUE(same(file.tensor("odd").data, counting(3)));
  EXPECT_TRUE(same(file.tensor("model.embed \"ü\"").data, counting(16)));
  EXPECT_TRUE(same(file.tensor("scalar").data, counting(8)));
  EXPECT_TRUE(same(file.tensor("half").data, counting(10)));
  EXPECT_EQ(file.tensor("none").shape, (std::vector<uint64_t>{0, 4}));
  // Each tensor lies at a multiple of its element's size (in the file, and so in a mapping).
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.tensor("scalar").data.data()) % 8, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.tensor("model.embed \"ü\"").data.data()) % 4, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file.tensor("half").data.data()) % 2, 0u);
}

TEST(SafetensorsWriter, RefusesWhatNoReaderWouldTake) {
  SafetensorsWriter writer;
  const auto refuses = [&](std::initializer_list<std::string_view> mentions, auto add) {
    expect_error(ErrorKind::bad_input, mentions, add);
  };
  refuses({"'a'", "'F31'"}, [&] { writer.add("a", "F31", {1}, counting(4)); });
  refuses({"'a'", "expected 4 bytes", "found 5"}, [&] { writer.add("a", "F32", {1}, counting(5)); });
  refuses({"'a'", "overflow"}, [&] { writer.add("a", "F32", {uint64_t{1} << 62}, {}); });
  refuses({"'a'", "32 dimensions", "33"},
          [&] { writer.add("a", "U8", std::vector<uint64_t>(33, 1), counting(1)); });
  refuses({"__metadata__"}, [&] { writer.add("__metadata__", "F32", {1}, counting(4)); });
  writer.add("a", "F32", {1}, counting(4));
  refuses({"'a'", "twice"}, [&] { writer.add("a", "F32", {1}, counting(4)); });
  writer.add("\xff", "F32", {1}, counting(4));
  refuses({"not UTF-8"}, [&] { writer.bytes(); });
}

}  // namespace
}  // namespace tern
