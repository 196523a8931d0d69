#include "tests/files/hostile.h"

namespace tern {
namespace {

std::string with_length(uint64_t length, std::string_view rest) {
  char bytes[8];
  std::memcpy(bytes, &length, 8);
  return std::string(bytes, 8).append(rest);
}

std::string one(std::string_view fields, size_t data_bytes) {
  return raw_safetensors("{\"w\":{" + std::string(fields) + "}}", data_bytes);
}

std::string repeated(std::string_view text, size_t n) {
  std::string all;
  for (size_t i = 0; i < n; ++i) all += text;
  return all;
}

void add_headers(std::vector<HostileFile>& files) {
  using enum ErrorKind;
  files.push_back({"empty", "", bad_input, {"header length", "found 0"}});
  files.push_back({"half_a_length", std::string(7, '\0'), bad_input, {"header length", "found 7"}});
  files.push_back(
      {"length_gigabytes", with_length(uint64_t{1} << 40, "{}"), limit, {"100000000", "1099511627776"}});
  files.push_back({"length_wraps", with_length(UINT64_MAX, "{}"), limit, {"18446744073709551615"}});
  files.push_back({"length_by_one",
                   with_length(3, "{}"),
                   bad_input,
                   {"header length", "2 bytes that remain", "found 3"}});
  files.push_back({"length_zero", with_length(0, "{}"), bad_input, {"byte 8", "expected '{'"}});
  files.push_back({"not_an_object", raw_safetensors("[]", 0), bad_input, {"expected '{'", "'['"}});
  files.push_back({"starts_with_space", raw_safetensors(" {}", 0), bad_input, {"expected '{'"}});
  files.push_back({"bad_json", raw_safetensors("{\"w\":", 0), bad_input, {"byte", "expected JSON"}});
  files.push_back({"trailing_json", raw_safetensors("{}{}", 0), bad_input, {"expected JSON"}});
  files.push_back({"bad_utf8", raw_safetensors("{\"\xff\xfe\":1}", 0), bad_input, {"expected JSON"}});
  files.push_back({"deep_arrays",
                   raw_safetensors("{\"w\":" + repeated("[", 100'000), 0),
                   bad_input,
                   {"'w'", "an array"}});
  files.push_back({"deep_objects", raw_safetensors(repeated("{\"w\":", 100'000), 0), unsupported, {"'w'"}});
  files.push_back(
      {"deep_shape", one("\"shape\":" + repeated("[", 100'000), 0), bad_input, {"'shape'", "an array"}});
  files.push_back(
      {"tensor_is_null", raw_safetensors("{\"w\":null}", 0), bad_input, {"'w'", "an object", "null"}});
  files.push_back(
      {"tensor_is_text", raw_safetensors("{\"w\":\"F32\"}", 0), bad_input, {"'w'", "an object", "'F32'"}});
  files.push_back({"metadata_number",
                   raw_safetensors("{\"__metadata__\":{\"a\":1}}", 0),
                   bad_input,
                   {"metadata 'a'", "a string", "found 1"}});
  files.push_back(
      {"metadata_nested", raw_safetensors("{\"__metadata__\":{\"a\":{}}}", 0), bad_input, {"metadata 'a'"}});
  files.push_back({"metadata_twice",
                   raw_safetensors("{\"__metadata__\":{},\"__metadata__\":{}}", 0),
                   bad_input,
                   {"twice"}});
  files.push_back({"metadata_key_twice",
                   raw_safetensors("{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}}", 0),
                   bad_input,
                   {"metadata 'a'", "twice"}});
}

void add_fields(std::vector<HostileFile>& files) {
  using enum ErrorKind;
  const auto add = [&](std::string name, std::string_view fields, size_t data,
                       std::vector<std::string> mentions, ErrorKind kind = bad_input) {
    mentions.push_back("'w'");
    files.push_back({std::move(name), one(fields, data), kind, std::move(mentions)});
  };
  add("no_fields", "", 0, {"dtype", "none"});
  add("no_shape", R"("dtype":"F32","data_offsets":[0,4])", 4, {"shape", "none"});
  add("no_offsets", R"("dtype":"F32","shape":[1])", 4, {"data_offsets", "none"});
  add("one_offset", R"("dtype":"F32","shape":[1],"data_offsets":[0])", 4, {"2 numbers", "found 1"});
  add("three_offsets", R"("dtype":"F32","shape":[1],"data_offsets":[0,4,4])", 4, {"2 numbers", "found 3"});
  add("unknown_field", R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1)", 4, {"'x'"}, unsupported);
  add("dtype_twice", R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])", 4,
      {"'dtype'", "twice"});
  add("shape_twice", R"("dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4])", 4,
      {"'shape'", "twice"});
  add("dtype_number", R"("dtype":32,"shape":[1],"data_offsets":[0,4])", 4, {"'dtype'", "found 32"});
  add("dtype_array", R"("dtype":["F32"],"shape":[1],"data_offsets":[0,4])", 4, {"'dtype'", "an array"});
  add("dtype_unknown", R"("dtype":"F33","shape":[1],"data_offsets":[0,4])", 4, {"'F33'"}, unsupported);
  add("dtype_below_a_byte", R"("dtype":"F4","shape":[2],"data_offsets":[0,1])", 1, {"'F4'"}, unsupported);
  add("shape_negative", R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])", 4,
      {"'shape'", "at least 0", "-1"});
  add("shape_fraction", R"("dtype":"F32","shape":[1.5],"data_offsets":[0,4])", 4, {"'shape'", "1.5"});
  add("shape_too_large", R"("dtype":"F32","shape":[18446744073709551616],"data_offsets":[0,4])", 4,
      {"'shape'"});
  add("shape_text", R"("dtype":"F32","shape":["1"],"data_offsets":[0,4])", 4, {"'shape'", "'1'"});
  add("shape_object", R"("dtype":"F32","shape":[{"a":1}],"data_offsets":[0,4])", 4, {"'shape'", "an object"});
  add("shape_wraps", R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])", 0,
      {"overflows"});
  add("shape_bytes_wrap", R"("dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0])", 0,
      {"overflows"});
  add("shape_long", "\"shape\":[" + repeated("1,", 1000) + "1]", 0, {"'shape'", "at most 32"}, limit);
  add("offsets_short", R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 4,
      {"expected 8 bytes", "found 4"});
  add("offsets_long", R"("dtype":"F32","shape":[1],"data_offsets":[0,8])", 8,
      {"expected 4 bytes", "found 8"});
  add("offsets_backwards", R"("dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615])", 4,
      {"18446744073709551615"});
  add("offsets_outside", R"("dtype":"F32","shape":[2],"data_offsets":[0,8])", 4, {"from 0 to 4", "found 8"});
  add("offsets_after_a_hole", R"("dtype":"F32","shape":[1],"data_offsets":[4,8])", 8,
      {"begin at 0", "found 4"});
}

}  // namespace

std::string raw_safetensors(std::string_view header, size_t data_bytes) {
  std::string file = with_length(header.size(), header);
  for (size_t i = 0; i < data_bytes; ++i) file.push_back(static_cast<char>(i));
  return file;
}

std::string valid_safetensors() {
  return raw_safetensors(R"({"__metadata__":{"format":"pt","name":"tést"},)"
                         R"("b.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},)"
                         R"("a":{"data_offsets":[0,8],"dtype":"F32","shape":[2]},)"
                         R"("none":{"dtype":"F32","shape":[0,7],"data_offsets":[20,20]},)"
                         R"("scalar":{"dtype":"I64","shape":[],"data_offsets":[20,28]}}    )",
                         28);
}

std::vector<HostileFile> hostile_safetensors() {
  using enum ErrorKind;
  std::vector<HostileFile> files;
  add_headers(files);
  add_fields(files);
  files.push_back({"overlap",
                   raw_safetensors(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                                   R"("b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})",
                                   6),
                   bad_input,
                   {"'b'", "begin at 4", "found 2"}});
  files.push_back({"name_twice",
                   raw_safetensors(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
                                   R"("a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}})",
                                   4),
                   bad_input,
                   {"'a'", "twice"}});
  files.push_back({"bytes_left_over",
                   raw_safetensors(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", 3),
                   bad_input,
                   {"end of the file", "1 more"}});
  return files;
}

}  // namespace tern
