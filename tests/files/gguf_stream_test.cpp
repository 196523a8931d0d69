// Writing tensor by tensor, and copying keys bit for bit.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "files/gguf.h"
#include "tests/expect_error.h"
#include "tests/files/hostile.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

std::vector<std::byte> filled(size_t n, int value) {
  return std::vector<std::byte>(n, static_cast<std::byte>(value));
}

TEST(GgufStream, GivesTheBytesThatTheWriterGives) {
  const TemporaryFolder folder;
  GgufWriter whole, announced;
  for (GgufWriter* writer : {&whole, &announced}) writer->add_string("k", "v");
  whole.add_tensor("a", DType::f32, {3}, filled(12, 1));
  whole.add_tensor("b", DType::q8_0, {32, 2}, filled(68, 2));
  announced.announce_tensor("a", DType::f32, {3});
  announced.announce_tensor("b", DType::q8_0, {32, 2});
  GgufStream stream(announced, folder / "streamed.gguf");
  stream.write(filled(5, 1));
  stream.write({});
  stream.write(filled(7, 1));
  for (int i = 0; i < 4; ++i) stream.write(filled(17, 2));
  EXPECT_FALSE(std::filesystem::exists(folder / "streamed.gguf"));
  stream.commit();
  const auto bytes = whole.bytes();
  EXPECT_EQ(read_file(folder / "streamed.gguf"),
            std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

TEST(GgufStream, EveryTensorGetsItsBytesAndNoMore) {
  const TemporaryFolder folder;
  const std::string path = folder / "m.gguf";
  GgufWriter head;
  head.announce_tensor("a", DType::f32, {3});
  {
    GgufStream stream(head, path);
    stream.write(filled(4, 0));
    expect_error(ErrorKind::internal, {"'a'", "8 more bytes"}, [&] { stream.commit(); });
    expect_error(ErrorKind::internal, {"'a'", "at most 8", "found 9"}, [&] { stream.write(filled(9, 0)); });
    stream.write(filled(8, 0));
    expect_error(ErrorKind::internal, {"beyond the last tensor"}, [&] { stream.write(filled(1, 0)); });
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(GgufStream, WantsAnnouncedTensorsAlone) {
  const TemporaryFolder folder;
  GgufWriter added;
  added.add_tensor("a", DType::f32, {1}, filled(4, 0));
  expect_error(ErrorKind::internal, {"'a'"}, [&] { GgufStream stream(added, folder / "m.gguf"); });
  GgufWriter announced;
  announced.announce_tensor("a", DType::f32, {1});
  expect_error(ErrorKind::bad_input, {"'a'", "never came"}, [&] { announced.bytes(); });
}

TEST(GgufWriter, CopiesKeysBitForBit) {
  const std::string original = valid_gguf();
  const auto file = GgufFile::parse(bytes_of(original), "original");
  GgufWriter writer;
  for (const auto& [key, value] : file.metadata()) writer.copy(file, key);
  const auto bytes = writer.bytes();
  const auto copy = GgufFile::parse(bytes, "copy");
  ASSERT_EQ(copy.metadata(), file.metadata());
  for (const auto& [key, value] : file.metadata()) {
    const auto a = file.stored(key), b = copy.stored(key);
    EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin(), b.end())) << key;
  }
  expect_error(ErrorKind::bad_input, {"'gone'"}, [&] { writer.copy(file, "gone"); });
}

TEST(GgufWriter, KeysOfAnAssembledFileGetTheTypesLlamaCppExpects) {
  const auto file = GgufFile::assemble("made",
                                       {{"u", uint64_t{5}},
                                        {"i", int64_t{-5}},
                                        {"f", 0.5},
                                        {"b", true},
                                        {"s", std::string("x")},
                                        {"is", std::vector<int64_t>{-1, 2}},
                                        {"fs", std::vector<double>{0.25}},
                                        {"ss", std::vector<std::string>{"y"}},
                                        {"wide", uint64_t{1} << 32}},
                                       {}, nullptr);
  GgufWriter copied, expected;
  for (const char* key : {"u", "i", "f", "b", "s", "is", "fs", "ss"}) copied.copy(file, key);
  expected.add_u32("u", 5);
  expected.add_i32("i", -5);
  expected.add_f32("f", 0.5f);
  expected.add_bool("b", true);
  expected.add_string("s", "x");
  expected.add_i32s("is", {-1, 2});
  expected.add_f32s("fs", {0.25f});
  expected.add_strings("ss", {"y"});
  EXPECT_EQ(copied.bytes(), expected.bytes());
  expect_error(ErrorKind::bad_input, {"'wide'", "4294967296"}, [&] { copied.copy(file, "wide"); });
}

}  // namespace
}  // namespace tern
