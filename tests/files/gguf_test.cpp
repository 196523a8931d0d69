// GGUF files that are as they should be.
#include "files/gguf.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

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

class GgufVersions : public testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Gguf, GgufVersions, testing::Values(2u, 3u));

TEST_P(GgufVersions, EveryKindOfValueIsRead) {
  const std::string bytes = valid_gguf(GetParam());
  const auto file = GgufFile::parse(bytes_of(bytes), "small.gguf");
  EXPECT_EQ(file.version(), GetParam());
  EXPECT_EQ(file.file_bytes(), bytes.size());
  for (const GgufTensor& tensor : file.tensors()) EXPECT_EQ(tensor.mapping, nullptr);
  EXPECT_EQ(file.metadata().size(), 18u);
  EXPECT_EQ(file.metadata()[0].first, "general.architecture");
  EXPECT_EQ(file.get_string("general.architecture"), "deepseek2");
  EXPECT_EQ(std::get<uint64_t>(*file.find("u8")), 200u);
  EXPECT_EQ(std::get<int64_t>(*file.find("i8")), -100);
  EXPECT_EQ(std::get<uint64_t>(*file.find("u16")), 60000u);
  EXPECT_EQ(std::get<int64_t>(*file.find("i16")), -30000);
  EXPECT_EQ(std::get<uint64_t>(*file.find("u32")), 4'000'000'000u);
  EXPECT_EQ(std::get<int64_t>(*file.find("i32")), -2'000'000'000);
  EXPECT_EQ(std::get<uint64_t>(*file.find("u64")), UINT64_MAX);
  EXPECT_EQ(std::get<int64_t>(*file.find("i64")), INT64_MIN);
  EXPECT_EQ(file.get_float("f32"), static_cast<double>(0.1f));
  EXPECT_EQ(file.get_float("f64"), 0.1);
  EXPECT_TRUE(file.bool_or("yes", false));
  EXPECT_EQ(file.get_strings("words"), (std::vector<std::string>{"", "b", std::string("\0\xff", 2)}));
  EXPECT_EQ(file.get_ints("bytes"), (std::vector<int64_t>{0, 255}));
  EXPECT_EQ(file.get_ints("ints"), (std::vector<int64_t>{-1, 7}));
  EXPECT_EQ(std::get<std::vector<double>>(*file.find("floats")), std::vector<double>{1.5});
  EXPECT_EQ(file.get_ints("flags"), (std::vector<int64_t>{1, 0}));
  EXPECT_TRUE(file.get_strings("none").empty());
}

TEST(Gguf, TensorsLieWhereTheFileSays) {
  const std::string bytes = valid_gguf();
  const auto file = GgufFile::parse(bytes_of(bytes), "small.gguf");
  ASSERT_EQ(file.tensors().size(), 5u);
  const auto* data = bytes_of(bytes).data() + bytes.size() - 352;
  const GgufTensor& q8 = file.tensor("q8");
  EXPECT_EQ(q8.dims, (std::vector<uint64_t>{32, 1, 1, 2}));
  EXPECT_EQ(q8.elements(), 64u);
  EXPECT_EQ(q8.dtype(), DType::q8_0);
  EXPECT_EQ(q8.data.data(), data + 32);
  EXPECT_EQ(q8.data.size(), 68u);
  EXPECT_EQ(file.tensor("bf16").data.data() + 32, bytes_of(bytes).data() + bytes.size());
  EXPECT_EQ(file.find_tensor("f33"), nullptr);
  expect_error(ErrorKind::bad_input, {"small.gguf", "'f33'"}, [&] { file.tensor("f33"); });
}

TEST(Gguf, TypesThatTernDoesNotRunAreListedAndNamed) {
  const std::string bytes = valid_gguf();
  const auto file = GgufFile::parse(bytes_of(bytes), "small.gguf");
  const GgufTensor& later = file.tensor("later");
  EXPECT_EQ(later.elements(), 256u);
  EXPECT_TRUE(later.data.empty());
  expect_error(ErrorKind::unsupported, {"'later'", "IQ1_S"}, [&] { later.dtype(); });
}

TEST(Gguf, GettersNameTheKeyAndBothKinds) {
  const std::string bytes = valid_gguf();
  const auto file = GgufFile::parse(bytes_of(bytes), "small.gguf");
  const auto refuses = [](std::initializer_list<std::string_view> mentions, auto call) {
    expect_error(ErrorKind::bad_input, mentions, call);
  };
  refuses({"small.gguf", "'gone'", "an integer", "no such key"}, [&] { file.get_uint("gone"); });
  refuses({"'i8'", "at least 0", "-100"}, [&] { file.get_uint("i8"); });
  refuses({"'f32'", "an integer", "a float"}, [&] { file.uint_or("f32", 1); });
  refuses({"'u8'", "a float", "an unsigned integer"}, [&] { file.float_or("u8", 1); });
  refuses({"'u8'", "a bool"}, [&] { file.bool_or("u8", true); });
  refuses({"'words'", "a string", "an array of strings"}, [&] { file.get_string("words"); });
  refuses({"'yes'", "a string", "a bool"}, [&] { file.string_or("yes", ""); });
  refuses({"'ints'", "an array of strings", "an array of integers"}, [&] { file.get_strings("ints"); });
  refuses({"'floats'", "an array of integers", "an array of floats"}, [&] { file.get_ints("floats"); });
  EXPECT_EQ(file.uint_or("gone", 3), 3u);
  EXPECT_EQ(file.float_or("gone", 0.5), 0.5);
  EXPECT_TRUE(file.bool_or("gone", true));
  EXPECT_EQ(file.string_or("gone", "x"), "x");
  EXPECT_EQ(file.uint_or("u16", 3), 60000u);
}

TEST(Gguf, FloatsMustBeFinite) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    GgufWriter writer;
    writer.add_f32("eps", bad);
    const auto bytes = writer.bytes();
    const auto file = GgufFile::parse(bytes, "nan.gguf");
    expect_error(ErrorKind::bad_input, {"'eps'", "finite"}, [&] { file.get_float("eps"); });
  }
}

TEST(Gguf, AnAlignmentOfItsOwnMovesTheData) {
  RawGguf raw(3, 1, 1);
  raw.key("general.alignment", 4).number<uint32_t>(128).tensor("w", {4}, 0, 128).data(144, 128);
  const std::string bytes = raw;
  const auto file = GgufFile::parse(bytes_of(bytes), "aligned.gguf");
  EXPECT_EQ(static_cast<size_t>(file.tensor("w").data.data() - bytes_of(bytes).data()), bytes.size() - 16);
}

TEST(Gguf, CopiesAndMovesKeepTheirIndex) {
  const std::string bytes = valid_gguf();
  auto file = std::make_unique<GgufFile>(GgufFile::parse(bytes_of(bytes), "small.gguf"));
  const GgufFile copy = *file;
  const GgufFile moved = std::move(*file);
  file.reset();
  for (const GgufFile* one : {&copy, &moved}) {
    EXPECT_EQ(one->get_string("general.architecture"), "deepseek2");
    EXPECT_EQ(one->tensor("f32").elements(), 6u);
  }
}

TEST_P(GgufVersions, WhatTheWriterWritesIsReadBack) {
  GgufWriter writer(GetParam());
  writer.add_string("general.architecture", "deepseek2");
  writer.add_u32("u32", 5);
  writer.add_i32("i32", -5);
  writer.add_u64("u64", uint64_t{1} << 40);
  writer.add_f32("f32", 1e-6f);
  writer.add_bool("bool", true);
  writer.add_strings("strings", {"", "ü", std::string("\0", 1)});
  writer.add_i32s("ints", {1, -2});
  writer.add_f32s("floats", {0.5f});
  writer.add_tensor("a", DType::f32, {3}, counting(12));
  writer.add_tensor("b", DType::q8_0, {64, 3}, counting(204));
  writer.add_tensor("c", DType::bf16, {1, 1, 1, 5}, counting(10));
  const TemporaryFolder folder;
  writer.write(folder / "model.gguf");
  const auto file = GgufFile::open(folder / "model.gguf");
  EXPECT_EQ(file.version(), GetParam());
  EXPECT_EQ(file.file_bytes() % 32, 0u);
  EXPECT_EQ(file.metadata().size(), 9u);
  EXPECT_EQ(file.get_uint("u32"), 5u);
  EXPECT_EQ(std::get<int64_t>(*file.find("i32")), -5);
  EXPECT_EQ(file.get_uint("u64"), uint64_t{1} << 40);
  EXPECT_EQ(file.get_float("f32"), static_cast<double>(1e-6f));
  EXPECT_TRUE(file.bool_or("bool", false));
  EXPECT_EQ(file.get_strings("strings"), (std::vector<std::string>{"", "ü", std::string("\0", 1)}));
  EXPECT_EQ(file.get_ints("ints"), (std::vector<int64_t>{1, -2}));
  EXPECT_EQ(std::get<std::vector<double>>(*file.find("floats")), std::vector<double>{0.5});
  EXPECT_TRUE(same(file.tensor("a").data, counting(12)));
  EXPECT_TRUE(same(file.tensor("b").data, counting(204)));
  EXPECT_TRUE(same(file.tensor("c").data, counting(10)));
  for (const GgufTensor& tensor : file.tensors()) {
    ASSERT_NE(tensor.mapping, nullptr);
    EXPECT_TRUE(same(tensor.mapping->bytes(), writer.bytes()));
    EXPECT_EQ((tensor.data.data() - tensor.mapping->bytes().data()) % 32, 0) << tensor.name;
  }
}

TEST(Gguf, AssembledFilesMakeTheirTensors) {
  const std::vector<std::byte> there = counting(12);
  std::vector<GgufTensor> tensors(2);
  tensors[0] = {.name = "there", .dims = {3}, .data = there};
  tensors[1] = {.name = "made", .dims = {1, 3}};
  tensors[1].make = [&](std::span<std::byte> to) {
    std::reverse_copy(there.begin(), there.end(), to.begin());
  };
  const auto file =
      GgufFile::assemble("folder", {{"general.architecture", std::string("llama")}}, tensors, nullptr);
  EXPECT_EQ(file.name(), "folder");
  EXPECT_EQ(file.get_string("general.architecture"), "llama");
  EXPECT_TRUE(same(file.tensor("there").load().span(), there));
  const TensorBytes made = file.tensor("made").load();
  ASSERT_EQ(made.size(), 12u);
  EXPECT_EQ(made.data()[0], there[11]);
  file.tensor("made").release();  // of no file: nothing to do
  expect_error(ErrorKind::bad_input, {"folder", "'made'", "twice"}, [&] {
    tensors[0].name = "made";
    GgufFile::assemble("folder", {}, tensors, nullptr);
  });
}

TEST(GgufWriter, TheVersionsDifferInTheirNumberAlone) {
  const auto bytes_in = [](GgufWriter writer) {
    writer.add_strings("strings", {"a", ""});
    writer.add_tensor("t", DType::f32, {3}, counting(12));
    return writer.bytes();
  };
  auto second = bytes_in(GgufWriter(2));
  const auto third = bytes_in(GgufWriter());
  EXPECT_EQ(second[4], std::byte{2});
  EXPECT_EQ(third[4], std::byte{3});
  second[4] = std::byte{3};
  EXPECT_EQ(second, third);
}

TEST(GgufWriter, WritesNoOtherVersion) {
  for (const uint32_t version : {0u, 1u, 4u}) {
    expect_error(ErrorKind::bad_input, {fmt::format("version {}", version), "2 or 3"},
                 [&] { GgufWriter writer(version); });
  }
}

TEST(GgufWriter, RefusesWhatNoReaderWouldTake) {
  const auto refuses = [](std::initializer_list<std::string_view> mentions, auto add) {
    expect_error(ErrorKind::bad_input, mentions, [&] {
      GgufWriter writer;
      add(writer);
      writer.bytes();
    });
  };
  refuses({"'k'", "twice"}, [](GgufWriter& w) { w.add_u32("k", 1), w.add_i32("k", 1); });
  refuses({"''", "found 0"}, [](GgufWriter& w) { w.add_u32("", 1); });
  refuses({"general.alignment"}, [](GgufWriter& w) { w.add_u32("general.alignment", 64); });
  refuses({"'t'", "expected 8 bytes", "found 7"},
          [](GgufWriter& w) { w.add_tensor("t", DType::f32, {2}, counting(7)); });
  refuses({"'t'", "1 to 4 dimensions"}, [](GgufWriter& w) { w.add_tensor("t", DType::f32, {}, {}); });
  refuses({"'t'", "at least 1"}, [](GgufWriter& w) { w.add_tensor("t", DType::f32, {0}, {}); });
  refuses({"1 to 64", "65"},
          [](GgufWriter& w) { w.add_tensor(std::string(65, 'n'), DType::f32, {1}, counting(4)); });
  refuses({"multiple of 32"}, [](GgufWriter& w) { w.add_tensor("t", DType::q8_0, {16, 2}, counting(34)); });
  refuses({"'t'", "twice"}, [](GgufWriter& w) {
    w.add_tensor("t", DType::f32, {1}, counting(4));
    w.add_tensor("t", DType::f32, {1}, counting(4));
  });
}

TEST(Gguf, ReadsTheVocabulariesOfOthers) {
  const std::filesystem::path folder = std::filesystem::path(TERN_SOURCE_DIR) / "../shared/vocab";
  if (!std::filesystem::exists(folder)) {
    const char* ci = std::getenv("CI");
    ASSERT_FALSE(ci && std::string_view(ci) == "true") << "no " << folder;
    GTEST_SKIP() << "no " << folder;
  }
  const std::pair<std::string, size_t> expected[] = {{"ggml-vocab-deepseek-coder.gguf", 32256},
                                                     {"ggml-vocab-deepseek-llm.gguf", 102400},
                                                     {"ggml-vocab-llama-bpe.gguf", 128256},
                                                     {"ggml-vocab-qwen2.gguf", 151936}};
  for (const auto& [name, tokens] : expected) {
    const auto file = GgufFile::open((folder / name).string());
    EXPECT_EQ(file.get_string("tokenizer.ggml.model"), "gpt2") << name;
    EXPECT_EQ(file.get_strings("tokenizer.ggml.tokens").size(), tokens) << name;
    EXPECT_EQ(file.get_ints("tokenizer.ggml.token_type").size(), tokens) << name;
    EXPECT_FALSE(file.get_strings("tokenizer.ggml.merges").empty()) << name;
    EXPECT_TRUE(file.tensors().empty()) << name;
  }
}

}  // namespace
}  // namespace tern
