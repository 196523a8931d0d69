// The numbers of the GGUF format that reader and writer share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace tern::gguf {

enum class ValueType : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

inline constexpr std::string_view magic = "GGUF";
inline constexpr std::string_view magic_big_endian = "FUGG";
inline constexpr std::string_view alignment_key = "general.alignment";
// Of a file in pieces: this one's number from 0, how many there are, how many tensors they hold together.
inline constexpr std::string_view split_no_key = "split.no";
inline constexpr std::string_view split_count_key = "split.count";
inline constexpr std::string_view split_tensors_key = "split.tensors.count";
inline constexpr uint64_t default_alignment = 32;
inline constexpr uint64_t least_alignment = 8;  // what the specification asks for
inline constexpr uint64_t most_alignment = 1 << 20;
inline constexpr uint64_t most_dims = 4;
inline constexpr uint64_t most_key_bytes = 65535;
inline constexpr uint64_t most_tensor_name_bytes = 64;
// Array elements in one file, all arrays together. The largest vocabularies need about two million; elements
// grow when read (a byte becomes an int64), so this is what holds a hostile file's memory down.
inline constexpr uint64_t most_array_elements = uint64_t{1} << 24;

}  // namespace tern::gguf
