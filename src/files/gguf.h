// GGUF 2 and 3, little-endian: read without trust, written so that other engines read it.
// Format: the GGUF specification in ggml's documentation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/mapped_file.h"
#include "quant/types.h"

namespace tern {

/// A metadata value. Integers of every width become int64/uint64, floats double; arrays hold one of three
/// kinds.
using GgufValue = std::variant<uint64_t, int64_t, double, bool, std::string, std::vector<int64_t>,
                               std::vector<double>, std::vector<std::string>>;

/// A tensor's bytes in memory: a view of a mapped file, or made for the caller.
class TensorBytes {
 public:
  explicit TensorBytes(std::span<const std::byte> view) : view_(view) {}
  explicit TensorBytes(std::vector<std::byte> made) : made_(std::move(made)), view_(made_) {}
  TensorBytes(TensorBytes&&) = default;
  TensorBytes(const TensorBytes&) = delete;

  const std::byte* data() const { return view_.data(); }
  size_t size() const { return view_.size(); }
  std::span<const std::byte> span() const { return view_; }

 private:
  std::vector<std::byte> made_;
  std::span<const std::byte> view_;
};

struct GgufTensor {
  std::string name;
  uint32_t ggml_type = 0;      ///< as in the file; may be one tern does not run
  std::vector<uint64_t> dims;  ///< 1 to 4, the contiguous one first
  /// Inside a file in memory; its size is checked against dims and type. Empty for unknown types, and where
  /// `make` gives the bytes.
  std::span<const std::byte> data;
  const MappedFile* mapping = nullptr;  ///< the file that `data` is mapped from, if it is
  /// Of assembled files: writes the tensor's bytes() into `to` (out of other tensors, say). May be called
  /// from any thread.
  std::function<void(std::span<std::byte> to)> make;

  uint64_t elements() const;
  /// Throws Error{unsupported} naming tensor and type.
  DType dtype() const;
  /// Of the whole tensor in its type; throws as dtype().
  uint64_t bytes() const;
  /// The bytes, made where they have to be. Throws as dtype() and as `make`, Error{limit} without memory.
  TensorBytes load() const;
  /// Tells the kernel that the pages of a mapped file which hold these bytes of the tensor (all of them) will
  /// not be read again soon. Any thread.
  void release() const { release(0, data.size()); }
  void release(size_t begin, size_t bytes) const;
};

class GgufFile {
 public:
  /// Maps and parses. Of a file in pieces (NAME-00001-of-00003.gguf, as llama.cpp's gguf-split cuts it) any
  /// one opens the whole. Throws Error{io | bad_input | limit} naming the file, the byte offset and what was
  /// expected.
  static GgufFile open(const std::string& path);
  /// Parses bytes that outlive the object (the embedded model, a fuzzer's input). `name` is used in errors.
  static GgufFile parse(std::span<const std::byte> bytes, std::string name);
  /// The pieces of one file, in order and complete. The keys are those of the first without `split.*`.
  /// Throws Error{bad_input} where they don't belong together: wrong numbers or counts, a tensor that is
  /// there twice, a piece of another model.
  static GgufFile join(std::vector<GgufFile> pieces);
  /// A model from elsewhere, told in GGUF's terms: the keys and tensors that its conversion to GGUF would
  /// hold. `keep` lives as long as the object and its copies (what the tensors' data and makers refer to).
  /// Throws Error{bad_input} for a key or a tensor that is there twice.
  static GgufFile assemble(std::string name, std::vector<std::pair<std::string, GgufValue>> metadata,
                           std::vector<GgufTensor> tensors, std::shared_ptr<const void> keep);
  /// Says that an assembled file stands for a Hugging Face folder, which holds its vocabulary.
  void set_folder(std::string folder) { folder_ = std::move(folder); }
  const std::string& folder() const { return folder_; }  ///< empty for a GGUF file

  const std::string& name() const { return name_; }
  uint32_t version() const { return version_; }        ///< 0 for an assembled one
  uint64_t file_bytes() const { return file_bytes_; }  ///< of all pieces; 0 for an assembled one
  const std::vector<std::pair<std::string, GgufValue>>& metadata() const { return metadata_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  const GgufValue* find(std::string_view key) const;  ///< null if absent
  /// A value's type (4 bytes) and payload as they stand in the file; empty if absent or in an assembled one.
  std::span<const std::byte> stored(std::string_view key) const;
  const GgufTensor* find_tensor(std::string_view name) const;
  const GgufTensor& tensor(std::string_view name) const;  ///< throws Error{bad_input} naming it

  // Typed metadata. get_* throws Error{bad_input} where absent or of another kind; *_or gives the fallback
  // where absent (still throws on another kind or a number that does not fit).
  uint64_t get_uint(std::string_view key) const;
  uint64_t uint_or(std::string_view key, uint64_t fallback) const;
  double get_float(std::string_view key) const;
  double float_or(std::string_view key, double fallback) const;
  bool bool_or(std::string_view key, bool fallback) const;
  std::string get_string(std::string_view key) const;
  std::string string_or(std::string_view key, std::string fallback) const;
  const std::vector<std::string>& get_strings(std::string_view key) const;
  const std::vector<int64_t>& get_ints(std::string_view key) const;

 private:
  using Index = std::map<std::string, size_t, std::less<>>;
  GgufFile() = default;
  static GgufFile open_one(const std::string& path);
  void erase_key(std::string_view key);
  std::string name_, folder_;
  uint32_t version_ = 0;
  std::shared_ptr<const void> keep_;  ///< what the tensors' bytes lie in
  uint64_t file_bytes_ = 0;
  std::vector<std::pair<std::string, GgufValue>> metadata_;
  std::vector<std::span<const std::byte>> stored_;  ///< of each key; empty for an assembled file
  std::vector<GgufTensor> tensors_;
  Index metadata_index_, tensor_index_;
};

class GgufStream;

/// Collects metadata and tensors, then writes a GGUF file atomically. Value types on disk are the caller's
/// choice, because llama.cpp is strict about them.
class GgufWriter {
 public:
  /// 2 or 3: little-endian files of the two differ in this number alone. Throws Error{bad_input} for another.
  explicit GgufWriter(uint32_t version = 3);
  void add_u16(std::string key, uint16_t value);
  void add_u32(std::string key, uint32_t value);
  void add_i32(std::string key, int32_t value);
  void add_u64(std::string key, uint64_t value);
  void add_f32(std::string key, float value);
  void add_bool(std::string key, bool value);
  void add_string(std::string key, std::string value);
  void add_strings(std::string key, std::vector<std::string> values);
  void add_i32s(std::string key, std::vector<int32_t> values);
  void add_f32s(std::string key, std::vector<float> values);
  /// A key of another file: bit for bit where that has it stored; of an assembled one in the types that
  /// llama.cpp expects of model keys (u32, i32, f32). Throws Error{bad_input} where it is absent or does not
  /// fit.
  void copy(const GgufFile& file, std::string_view key);
  /// dims with the contiguous one first; data of exactly row_bytes(type, product of dims).
  void add_tensor(std::string name, DType type, std::vector<uint64_t> dims, std::vector<std::byte> data);
  /// A tensor whose bytes a GgufStream will be given.
  void announce_tensor(std::string name, DType type, std::vector<uint64_t> dims);

  /// Atomic. Throws Error{io}, or Error{bad_input} for a key or tensor that was added twice or a tensor that
  /// was only announced.
  void write(const std::string& path) const;
  std::vector<std::byte> bytes() const;

 private:
  friend class GgufStream;
  struct Entry {
    std::string key;
    uint32_t type;
    std::string payload;  ///< the value's bytes as they stand in the file
  };
  struct Tensor {
    std::string name;
    DType type;
    std::vector<uint64_t> dims;
    uint64_t bytes;
    std::vector<std::byte> data;  ///< empty: only announced
  };
  /// Everything before the tensors' data.
  std::string head() const;
  /// Gives the file's bytes to `sink` piece by piece, from front to back.
  template <typename Sink>
  void emit(Sink sink) const;

  uint32_t version_;
  std::vector<Entry> entries_;
  std::vector<Tensor> tensors_;
};

/// Writes a file whose tensors come piece by piece, so that none need be in memory whole.
class GgufStream {
 public:
  /// Writes the keys and the table of the tensors that `head` has announced, all of them by
  /// announce_tensor(). Throws Error{io | bad_input} as GgufWriter::write.
  GgufStream(const GgufWriter& head, const std::string& path);
  ~GgufStream();  ///< without commit() `path` is untouched
  GgufStream(const GgufStream&) = delete;

  /// The next bytes of the tensors' data, in the order of their announcement. A piece may not reach beyond
  /// its tensor; throws Error{internal} naming it.
  void write(std::span<const std::byte> piece);
  /// Throws Error{internal} where bytes are missing, Error{io}.
  void commit();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern
