#include "tests/files/hostile.h"

namespace tern {
namespace {

enum Type : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

constexpr uint32_t tensor_f32 = 0;
constexpr uint32_t tensor_f16 = 1;
constexpr uint32_t tensor_q8 = 8;
constexpr uint32_t tensor_iq1_s = 19;
constexpr uint32_t tensor_bf16 = 30;

RawGguf one_key(std::string_view key, uint32_t type) {
  return RawGguf(3, 0, 1).key(key, type);
}

RawGguf one_array(uint32_t element, uint64_t n) {
  return one_key("list", array).number<uint32_t>(element).number<uint64_t>(n);
}

RawGguf one_tensor(const std::vector<uint64_t>& dims, uint32_t type, uint64_t offset) {
  return RawGguf(3, 1, 0).tensor("weights", dims, type, offset);
}

std::string repeated(size_t n) {
  return std::string(n, 'x');
}

void add_headers(std::vector<HostileFile>& files) {
  using enum ErrorKind;
  const std::string good = valid_gguf();
  files.push_back({"empty", "", bad_input, {"byte 0", "magic", "found 0"}});
  files.push_back({"magic", "GGML" + good.substr(4), bad_input, {"magic", "expected 'GGUF'", "'GGML'"}});
  files.push_back(
      {"magic_binary", std::string("\0\xff\n\"", 4) + good.substr(4), bad_input, {"'\\x00\\xff\\x0a\"'"}});
  files.push_back({"big_endian_magic", "FUGG" + good.substr(4), unsupported, {"big-endian"}});
  files.push_back({"big_endian_version", RawGguf(0x03000000, 0, 0), unsupported, {"big-endian", "byte 4"}});
  files.push_back({"version_0", RawGguf(0, 0, 0), unsupported, {"GGUF version 0", "2 or 3"}});
  files.push_back({"version_1", RawGguf(1, 0, 0), unsupported, {"GGUF version 1", "2 or 3"}});
  files.push_back({"version_4", RawGguf(4, 0, 0), unsupported, {"GGUF version 4", "2 or 3"}});
  files.push_back({"half_a_version", "GGUF\3", bad_input, {"version", "byte 4"}});
  // FACTS of this kind of file: few bytes that ask for gigabytes.
  files.push_back({"tensor_count",
                   RawGguf(3, UINT64_MAX, 0),
                   bad_input,
                   {"tensor count", "byte 8", "18446744073709551615"}});
  files.push_back({"tensor_count_signed", RawGguf(3, uint64_t{1} << 63, 0), bad_input, {"tensor count"}});
  files.push_back({"key_count", RawGguf(3, 0, uint64_t{1} << 40), bad_input, {"metadata count", "byte 16"}});
  files.push_back(
      {"key_count_by_one", RawGguf(3, 0, 2).key("a", u8).number<uint8_t>(1), bad_input, {"metadata count"}});
}

void add_metadata(std::vector<HostileFile>& files) {
  using enum ErrorKind;
  files.push_back({"key_length",
                   RawGguf(3, 0, 1).number<uint64_t>(uint64_t{1} << 62).number<uint64_t>(0),
                   bad_input,
                   {"key 1 of 1", "4611686018427387904"}});
  files.push_back({"key_empty", one_key("", u32).number<uint32_t>(1), bad_input, {"key 1 of 1", "found 0"}});
  files.push_back(
      {"key_long", one_key(repeated(65536), u32).number<uint32_t>(1), bad_input, {"65535", "65536"}});
  files.push_back({"key_twice",
                   RawGguf(3, 0, 2).key("a", u32).number<uint32_t>(1).key("a", u32).number<uint32_t>(1),
                   bad_input,
                   {"'a'", "twice"}});
  files.push_back(
      {"value_type", one_key("a", 13).number<uint64_t>(0), bad_input, {"'a'", "0 to 12", "found 13"}});
  files.push_back(
      {"value_type_huge", one_key("a", UINT32_MAX).number<uint64_t>(0), bad_input, {"'a'", "4294967295"}});
  files.push_back(
      {"bool_2", one_key("flag", boolean).number<uint8_t>(2), bad_input, {"'flag'", "bool", "found 2"}});
  files.push_back({"string_length",
                   one_key("a", string).number<uint64_t>(UINT64_MAX),
                   bad_input,
                   {"'a'", "18446744073709551615"}});
  files.push_back(
      {"string_by_one", one_key("a", string).number<uint64_t>(3).number<uint16_t>(0), bad_input, {"'a'"}});
  files.push_back({"key_unprintable",
                   one_key("\x1b[2J\xff\n", 99).number<uint64_t>(0),
                   bad_input,
                   {"'\\x1b[2J\\xff\\x0a'"}});
  files.push_back({"alignment_0",
                   one_key("general.alignment", u32).number<uint32_t>(0),
                   bad_input,
                   {"general.alignment", "found 0"}});
  files.push_back({"alignment_4",
                   one_key("general.alignment", u32).number<uint32_t>(4),
                   bad_input,
                   {"general.alignment", "from 8", "found 4"}});
  files.push_back({"alignment_48",
                   one_key("general.alignment", u32).number<uint32_t>(48),
                   bad_input,
                   {"general.alignment", "power of two", "found 48"}});
  files.push_back({"alignment_huge",
                   one_key("general.alignment", u64).number<uint64_t>(uint64_t{1} << 63),
                   bad_input,
                   {"general.alignment"}});
  files.push_back({"alignment_negative",
                   one_key("general.alignment", i32).number<int32_t>(-32),
                   bad_input,
                   {"general.alignment", "-32"}});
  files.push_back({"alignment_text",
                   one_key("general.alignment", string).text("32"),
                   bad_input,
                   {"general.alignment", "an integer", "a string"}});
}

void add_arrays(std::vector<HostileFile>& files) {
  using enum ErrorKind;
  for (const uint32_t type : {u8, i8, u16, i16, u32, i32, f32, boolean, string, u64, i64, f64}) {
    files.push_back({"array_length_of_type_" + std::to_string(type),
                     one_array(type, uint64_t{1} << 61).number<uint64_t>(0),
                     bad_input,
                     {"'list'", "2305843009213693952"}});
    files.push_back({"array_by_one_of_type_" + std::to_string(type),
                     one_array(type, 2).number<uint8_t>(0),
                     bad_input,
                     {"'list'"}});
  }
  files.push_back({"array_type", one_array(13, 1).number<uint64_t>(0), bad_input, {"'list'", "found 13"}});
  RawGguf nested = one_array(array, 1);
  for (int i = 0; i < 1000; ++i) nested.number<uint32_t>(array).number<uint64_t>(1);
  files.push_back({"array_of_arrays", nested, unsupported, {"'list'", "array of arrays"}});
  files.push_back({"array_bool_7",
                   one_array(boolean, 3).number<uint8_t>(1).number<uint8_t>(7).number<uint8_t>(0),
                   bad_input,
                   {"'list'", "bool", "found 7"}});
  files.push_back({"array_u64_too_large",
                   one_array(u64, 1).number<uint64_t>(uint64_t{1} << 63),
                   bad_input,
                   {"'list'", "element 0", "9223372036854775808"}});
  files.push_back({"array_string_length",
                   one_array(string, 2).text("a").number<uint64_t>(uint64_t{1} << 33),
                   bad_input,
                   {"'list'", "8589934592"}});
}

void add_tensors(std::vector<HostileFile>& files) {
  using enum ErrorKind;
  const auto add = [&](std::string name, const RawGguf& file, std::vector<std::string> mentions,
                       ErrorKind kind = bad_input) {
    files.push_back({std::move(name), file, kind, std::move(mentions)});
  };
  add("dims_0", one_tensor({}, tensor_f32, 0).data(64), {"'weights'", "1 to 4 dimensions", "found 0"});
  add("dims_5", one_tensor({1, 1, 1, 1, 1}, tensor_f32, 0).data(64),
      {"'weights'", "1 to 4 dimensions", "found 5"});
  add("dims_huge",
      RawGguf(3, 1, 0)
          .text("weights")
          .number<uint32_t>(UINT32_MAX)
          .number<uint64_t>(1)
          .number<uint64_t>(1)
          .data(64),
      {"'weights'", "found 4294967295"});
  add("dim_zero", one_tensor({4, 0}, tensor_f32, 0).data(64), {"'weights'", "dimension 1", "found 0"});
  // 2^32 x 2^32 wraps around to 0 elements, 2^62 floats to 0 bytes, and (2^63 + 8) x 2 to 16 elements.
  add("dims_wrap", one_tensor({uint64_t{1} << 32, uint64_t{1} << 32}, tensor_f32, 0).data(64),
      {"'weights'", "overflows"});
  add("dims_wrap_small", one_tensor({(uint64_t{1} << 63) + 8, 2}, tensor_f32, 0).data(64),
      {"'weights'", "overflows"});
  add("bytes_wrap", one_tensor({uint64_t{1} << 62}, tensor_f32, 0).data(64), {"'weights'", "overflows"});
  add("size_by_one", one_tensor({17}, tensor_f32, 0).data(64), {"'weights'", "68 bytes", "64 bytes of data"});
  add("size_terabytes", one_tensor({1 << 20, 1 << 20}, tensor_f16, 0).data(64),
      {"'weights'", "2199023255552"});
  add("rows_of_half_blocks", one_tensor({16, 2}, tensor_q8, 0).data(64),
      {"'weights'", "Q8_0", "multiple of 32", "16"});
  add("offset_unaligned", one_tensor({4}, tensor_f32, 8).data(64),
      {"'weights'", "multiple of 32", "found 8"});
  add("offset_outside", one_tensor({1}, tensor_f32, 96).data(64),
      {"'weights'", "offset 96", "64 bytes of data"});
  add("offset_wraps", one_tensor({16}, tensor_f32, UINT64_MAX - 31).data(64),
      {"'weights'", "18446744073709551584"});
  add("offset_of_unknown_type", one_tensor({256}, tensor_iq1_s, 96).data(64), {"'weights'", "offset 96"});
  add("no_data_at_all", one_tensor({1}, tensor_f32, 0), {"'weights'", "0 bytes of data"});
  add("name_empty", RawGguf(3, 1, 0).tensor("", {1}, tensor_f32, 0).data(64), {"tensor 1 of 1", "found 0"});
  add("name_long", RawGguf(3, 1, 0).tensor(repeated(65), {1}, tensor_f32, 0).data(64),
      {"tensor 1 of 1", "65"});
  add("name_length",
      RawGguf(3, 1, 0)
          .number<uint64_t>(INT64_MAX)
          .number<uint32_t>(1)
          .number<uint64_t>(1)
          .number<uint32_t>(0)
          .data(64),
      {"tensor 1 of 1", "9223372036854775807"});
  add("name_twice",
      RawGguf(3, 2, 0).tensor("w", {1}, tensor_f32, 0).tensor("w", {1}, tensor_f32, 32).data(64),
      {"'w'", "twice"});
  add("overlap",
      RawGguf(3, 2, 0).tensor("first", {9}, tensor_f32, 0).tensor("second", {1}, tensor_f32, 32).data(64),
      {"'first'", "'second'", "overlaps"});
  add("overlap_whole",
      RawGguf(3, 2, 0).tensor("first", {16}, tensor_f32, 0).tensor("second", {16}, tensor_f32, 0).data(64),
      {"'first'", "'second'", "overlaps"});
  add("tensor_cut",
      RawGguf(3, 1, 0)
          .text("weights")
          .number<uint32_t>(2)
          .number<uint64_t>(8)
          .number<uint64_t>(8)
          .number<uint32_t>(0),
      {"'weights'", "before the end"});
}

}  // namespace

RawGguf::RawGguf(uint32_t version, uint64_t tensors, uint64_t keys) : bytes_("GGUF") {
  number(version).number(tensors).number(keys);
}

RawGguf& RawGguf::text(std::string_view text) {
  number<uint64_t>(text.size());
  bytes_.append(text);
  return *this;
}

RawGguf& RawGguf::key(std::string_view key, uint32_t type) {
  return text(key).number(type);
}

RawGguf& RawGguf::tensor(std::string_view name, const std::vector<uint64_t>& dims, uint32_t type,
                         uint64_t offset) {
  text(name).number(static_cast<uint32_t>(dims.size()));
  for (const uint64_t dim : dims) number(dim);
  return number(type).number(offset);
}

RawGguf& RawGguf::data(size_t size, size_t alignment) {
  bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment);
  for (size_t i = 0; i < size; ++i) bytes_.push_back(static_cast<char>(i));
  return *this;
}

std::string valid_gguf(uint32_t version) {
  RawGguf file(version, 5, 18);
  file.key("general.architecture", string).text("deepseek2");
  file.key("u8", u8).number<uint8_t>(200);
  file.key("i8", i8).number<int8_t>(-100);
  file.key("u16", u16).number<uint16_t>(60000);
  file.key("i16", i16).number<int16_t>(-30000);
  file.key("u32", u32).number<uint32_t>(4'000'000'000);
  file.key("i32", i32).number<int32_t>(-2'000'000'000);
  file.key("u64", u64).number<uint64_t>(UINT64_MAX);
  file.key("i64", i64).number<int64_t>(INT64_MIN);
  file.key("f32", f32).number(0.1f);
  file.key("f64", f64).number(0.1);
  file.key("yes", boolean).number<uint8_t>(1);
  file.key("words", array)
      .number<uint32_t>(string)
      .number<uint64_t>(3)
      .text("")
      .text("b")
      .text(std::string("\0\xff", 2));
  file.key("bytes", array).number<uint32_t>(u8).number<uint64_t>(2).number<uint8_t>(0).number<uint8_t>(255);
  file.key("ints", array).number<uint32_t>(i32).number<uint64_t>(2).number<int32_t>(-1).number<int32_t>(7);
  file.key("floats", array).number<uint32_t>(f32).number<uint64_t>(1).number(1.5f);
  file.key("flags", array)
      .number<uint32_t>(boolean)
      .number<uint64_t>(2)
      .number<uint8_t>(1)
      .number<uint8_t>(0);
  file.key("none", array).number<uint32_t>(string).number<uint64_t>(0);
  file.tensor("f32", {3, 2}, tensor_f32, 0);        // 24 bytes
  file.tensor("q8", {32, 1, 1, 2}, tensor_q8, 32);  // 68 bytes
  file.tensor("f16", {1}, tensor_f16, 128);         // 2 bytes
  file.tensor("later", {256}, tensor_iq1_s, 160);   // a type tern does not run
  file.tensor("bf16", {16}, tensor_bf16, 320);      // 32 bytes, the end
  return file.data(352);
}

std::vector<HostileFile> hostile_ggufs() {
  std::vector<HostileFile> files;
  add_headers(files);
  add_metadata(files);
  add_arrays(files);
  add_tensors(files);
  return files;
}

}  // namespace tern
