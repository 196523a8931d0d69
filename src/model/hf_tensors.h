// The tensors of a Hugging Face checkpoint, row by row in a type that GGUF has.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/safetensors.h"
#include "quant/types.h"

namespace tern {

/// One tensor seen as rows (all dimensions but the last, flattened). F32, F16 and BF16 stand as they are;
/// FP8 E4M3 in blocks with a scale each is told as the BF16 it rounds to. Lives as long as its file.
struct HfRows {
  DType type = DType::f32;
  uint64_t rows = 0, cols = 0;
  std::span<const std::byte> data;
  const MappedFile* mapping = nullptr;
  const SafeTensor* scales = nullptr;  ///< FP8: {ceil(rows / block), ceil(cols / block)}, F32 or BF16
  uint64_t block_rows = 0, block_cols = 0;

  uint64_t row_bytes() const { return cols * traits(type).block_bytes; }
  /// The bytes can be used where they lie.
  bool stands_as_is() const;
  /// Writes one row of row_bytes() bytes.
  void read(uint64_t row, std::byte* to) const;
  /// Tells the kernel that these pages will not be read again soon.
  void release() const;
};

class HfTensors {
 public:
  using Shape = std::vector<uint64_t>;  ///< row-major, as the checkpoint has it

  /// `files` and the blocks of FP8 weights, 0 where config.json speaks of none. `name` is for errors.
  /// Throws Error{bad_input} for a tensor that two files have.
  HfTensors(std::string name, const std::vector<SafetensorsFile>& files, uint64_t block_rows,
            uint64_t block_cols);

  const std::string& name() const { return name_; }
  bool has(std::string_view tensor) const;
  /// Throws Error{bad_input} where the tensor is missing or has another shape, Error{unsupported} for a type
  /// that tern does not read.
  HfRows get(const std::string& tensor, const Shape& shape);
  /// A tensor of bytes (U8) as it is, held to its shape.
  const SafeTensor& get_bytes(const std::string& tensor, const Shape& shape);
  const MappedFile* mapping(std::string_view tensor) const;
  /// Marks a tensor as known and not needed.
  void ignore(std::string_view tensor);
  /// Throws Error{unsupported} naming a tensor that nobody asked for.
  void refuse_unread(std::string_view architecture) const;

 private:
  struct Entry {
    const SafeTensor* tensor;
    const MappedFile* mapping;
  };
  const Entry& find(const std::string& tensor, const Shape& shape);

  std::string name_;
  uint64_t block_rows_, block_cols_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::set<std::string, std::less<>> read_;
};

}  // namespace tern
