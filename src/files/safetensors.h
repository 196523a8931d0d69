// safetensors: read without trust, written for Hugging Face folders.
// Format: the safetensors README (8-byte header length, JSON header, raw little-endian data).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/mapped_file.h"

namespace tern {

struct SafeTensor {
  std::string dtype;                ///< as in the file: "F32", "BF16", "F16", …
  std::vector<uint64_t> shape;      ///< row-major, the contiguous one last
  std::span<const std::byte> data;  ///< inside the mapping, size checked against shape and dtype
};

class SafetensorsFile {
 public:
  /// Throws Error{io | bad_input | limit} naming the file, the tensor and what was expected.
  static SafetensorsFile open(const std::string& path);
  static SafetensorsFile parse(std::span<const std::byte> bytes, std::string name);

  const std::map<std::string, SafeTensor, std::less<>>& tensors() const { return tensors_; }
  const SafeTensor& tensor(std::string_view name) const;  ///< throws Error{bad_input}
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const MappedFile* mapping() const { return mapping_.get(); }  ///< null for bytes that were parsed in memory

 private:
  SafetensorsFile() = default;
  std::string name_;
  std::shared_ptr<MappedFile> mapping_;
  std::map<std::string, SafeTensor, std::less<>> tensors_;
  std::map<std::string, std::string> metadata_;
};

class SafetensorsWriter {
 public:
  /// shape row-major; data of exactly its size. Throws Error{bad_input} naming the tensor.
  void add(std::string name, std::string dtype, std::vector<uint64_t> shape, std::vector<std::byte> data);
  void add_metadata(std::string key, std::string value);
  /// Atomic. Throws Error{io}, or Error{bad_input} for names that are not UTF-8.
  void write(const std::string& path) const;
  std::vector<std::byte> bytes() const;

 private:
  struct Entry {
    std::string dtype;
    std::vector<uint64_t> shape;
    std::vector<std::byte> data;
  };
  /// Gives the file's bytes to `sink` piece by piece, from front to back.
  template <typename Sink>
  void emit(Sink sink) const;

  std::map<std::string, Entry> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace tern
