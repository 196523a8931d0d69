// GgufWriter: the same bytes to a file or to memory, through one function.
#include <algorithm>
#include <cstring>
#include <utility>

#include "base/atomic_file.h"
#include "base/checked.h"
#include "base/error.h"
#include "files/gguf.h"
#include "files/gguf_format.h"
#include "files/printable.h"

namespace tern {
namespace {

using gguf::ValueType;

template <typename T>
void append(std::string& to, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  to.append(bytes, sizeof(T));
}

void append_string(std::string& to, std::string_view text) {
  append<uint64_t>(to, text.size());
  to.append(text);
}

template <typename T>
std::string scalar(T value) {
  std::string payload;
  append(payload, value);
  return payload;
}

std::string array_head(ValueType element, size_t n) {
  std::string payload;
  append(payload, static_cast<uint32_t>(element));
  append<uint64_t>(payload, n);
  return payload;
}

template <typename T>
std::string array(ValueType element, const std::vector<T>& values) {
  std::string payload = array_head(element, values.size());
  for (const T value : values) append(payload, value);
  return payload;
}

uint32_t number(ValueType type) {
  return static_cast<uint32_t>(type);
}

template <typename Items, typename Name>
void check_unique(const Items& items, Name name, std::string_view what) {
  std::vector<std::string_view> names;
  for (const auto& item : items) names.push_back(name(item));
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) fail(ErrorKind::bad_input, "GGUF: {} {}: added twice", what, printable(*twice));
}

void check_key(std::string_view key) {
  if (key.empty() || key.size() > gguf::most_key_bytes) {
    fail(ErrorKind::bad_input, "GGUF: key {}: expected 1 to {} bytes, found {}", printable(key),
         gguf::most_key_bytes, key.size());
  }
  if (key == gguf::alignment_key) {
    fail(ErrorKind::bad_input, "GGUF: key '{}': not to be set, the writer always aligns to {}", key,
         gguf::default_alignment);
  }
}

std::string_view padding(uint64_t size) {
  static constexpr char zeros[gguf::default_alignment] = {};
  return {zeros, round_up(size, gguf::default_alignment) - size};
}

}  // namespace

GgufWriter::GgufWriter(uint32_t version) : version_(version) {
  if (version != 2 && version != 3)
    fail(ErrorKind::bad_input, "GGUF: version {}: expected 2 or 3 to write", version);
}

void GgufWriter::add_u16(std::string key, uint16_t value) {
  entries_.push_back({std::move(key), number(ValueType::u16), scalar(value)});
}

void GgufWriter::add_u32(std::string key, uint32_t value) {
  entries_.push_back({std::move(key), number(ValueType::u32), scalar(value)});
}

void GgufWriter::add_i32(std::string key, int32_t value) {
  entries_.push_back({std::move(key), number(ValueType::i32), scalar(value)});
}

void GgufWriter::add_u64(std::string key, uint64_t value) {
  entries_.push_back({std::move(key), number(ValueType::u64), scalar(value)});
}

void GgufWriter::add_f32(std::string key, float value) {
  entries_.push_back({std::move(key), number(ValueType::f32), scalar(value)});
}

void GgufWriter::add_bool(std::string key, bool value) {
  entries_.push_back(
      {std::move(key), number(ValueType::boolean), scalar(static_cast<uint8_t>(value ? 1 : 0))});
}

void GgufWriter::add_string(std::string key, std::string value) {
  std::string payload;
  append_string(payload, value);
  entries_.push_back({std::move(key), number(ValueType::string), std::move(payload)});
}

void GgufWriter::add_strings(std::string key, std::vector<std::string> values) {
  std::string payload = array_head(ValueType::string, values.size());
  for (const std::string& value : values) append_string(payload, value);
  entries_.push_back({std::move(key), number(ValueType::array), std::move(payload)});
}

void GgufWriter::add_i32s(std::string key, std::vector<int32_t> values) {
  entries_.push_back({std::move(key), number(ValueType::array), array(ValueType::i32, values)});
}

void GgufWriter::add_f32s(std::string key, std::vector<float> values) {
  entries_.push_back({std::move(key), number(ValueType::array), array(ValueType::f32, values)});
}

namespace {

/// What a model's key of an assembled file becomes: `writer` is given it in llama.cpp's type.
struct Assembled {
  GgufWriter& writer;
  std::string key;

  template <typename Narrow, typename Wide>
  Narrow narrowed(Wide value) const {
    if (std::in_range<Narrow>(value)) return static_cast<Narrow>(value);
    fail(ErrorKind::bad_input, "GGUF: key {}: {} does not fit into 32 bits", printable(key), value);
  }
  void operator()(uint64_t value) const { writer.add_u32(key, narrowed<uint32_t>(value)); }
  void operator()(int64_t value) const { writer.add_i32(key, narrowed<int32_t>(value)); }
  void operator()(double value) const { writer.add_f32(key, static_cast<float>(value)); }
  void operator()(bool value) const { writer.add_bool(key, value); }
  void operator()(const std::string& value) const { writer.add_string(key, value); }
  void operator()(const std::vector<std::string>& values) const { writer.add_strings(key, values); }
  void operator()(const std::vector<double>& values) const {
    writer.add_f32s(key, std::vector<float>(values.begin(), values.end()));
  }
  void operator()(const std::vector<int64_t>& values) const {
    std::vector<int32_t> narrow;
    for (const int64_t value : values) narrow.push_back(narrowed<int32_t>(value));
    writer.add_i32s(key, std::move(narrow));
  }
};

}  // namespace

void GgufWriter::copy(const GgufFile& file, std::string_view key) {
  const GgufValue* value = file.find(key);
  if (!value)
    fail(ErrorKind::bad_input, "{}: expected a key {}, found no such key", file.name(), printable(key));
  const auto stored = file.stored(key);
  if (stored.empty()) {
    std::visit(Assembled{*this, std::string(key)}, *value);
    return;
  }
  uint32_t type;
  std::memcpy(&type, stored.data(), sizeof type);
  entries_.push_back({std::string(key), type,
                      std::string(reinterpret_cast<const char*>(stored.data()) + 4, stored.size() - 4)});
}

void GgufWriter::announce_tensor(std::string name, DType type, std::vector<uint64_t> dims) {
  if (name.empty() || name.size() > gguf::most_tensor_name_bytes) {
    fail(ErrorKind::bad_input, "GGUF: tensor {}: expected a name of 1 to {} bytes, found {}", printable(name),
         gguf::most_tensor_name_bytes, name.size());
  }
  if (dims.empty() || dims.size() > gguf::most_dims) {
    fail(ErrorKind::bad_input, "GGUF: tensor {}: expected 1 to {} dimensions, found {}", printable(name),
         gguf::most_dims, dims.size());
  }
  uint64_t bytes = row_bytes(type, dims[0]);
  for (size_t d = 1; d < dims.size(); ++d) bytes = checked_mul(bytes, dims[d], "tensor bytes");
  if (bytes == 0) {
    fail(ErrorKind::bad_input, "GGUF: tensor {}: expected at least 1 weight, found 0", printable(name));
  }
  tensors_.push_back({std::move(name), type, std::move(dims), bytes, {}});
}

void GgufWriter::add_tensor(std::string name, DType type, std::vector<uint64_t> dims,
                            std::vector<std::byte> data) {
  announce_tensor(std::move(name), type, std::move(dims));
  Tensor& tensor = tensors_.back();
  if (data.size() != tensor.bytes) {
    fail(ErrorKind::bad_input, "GGUF: tensor {}: expected {} bytes, found {}", printable(tensor.name),
         tensor.bytes, data.size());
  }
  tensor.data = std::move(data);
}

std::string GgufWriter::head() const {
  for (const Entry& entry : entries_) check_key(entry.key);
  check_unique(
      entries_, [](const Entry& e) -> std::string_view { return e.key; }, "key");
  check_unique(
      tensors_, [](const Tensor& t) -> std::string_view { return t.name; }, "tensor");
  std::string head(gguf::magic);
  append<uint32_t>(head, version_);
  append<uint64_t>(head, tensors_.size());
  append<uint64_t>(head, entries_.size());
  for (const Entry& entry : entries_) {
    append_string(head, entry.key);
    append(head, entry.type);
    head += entry.payload;
  }
  uint64_t offset = 0;
  for (const Tensor& tensor : tensors_) {
    append_string(head, tensor.name);
    append(head, static_cast<uint32_t>(tensor.dims.size()));
    for (const uint64_t dim : tensor.dims) append(head, dim);
    append(head, static_cast<uint32_t>(tensor.type));
    append(head, offset);
    offset = round_up(checked_add(offset, tensor.bytes, "tensor data"), gguf::default_alignment);
  }
  head += padding(head.size());
  return head;
}

template <typename Sink>
void GgufWriter::emit(Sink sink) const {
  for (const Tensor& tensor : tensors_) {
    if (tensor.data.empty())
      fail(ErrorKind::bad_input, "GGUF: tensor {}: announced, but its bytes never came",
           printable(tensor.name));
  }
  const std::string front = head();
  sink(std::as_bytes(std::span(front)));
  for (const Tensor& tensor : tensors_) {
    sink(std::span<const std::byte>(tensor.data));
    sink(std::as_bytes(std::span(padding(tensor.bytes))));
  }
}

void GgufWriter::write(const std::string& path) const {
  AtomicFile file(path);
  emit([&](std::span<const std::byte> part) { file.write(part); });
  file.commit();
}

std::vector<std::byte> GgufWriter::bytes() const {
  std::vector<std::byte> all;
  emit([&](std::span<const std::byte> part) { all.insert(all.end(), part.begin(), part.end()); });
  return all;
}

struct GgufStream::Impl {
  Impl(const std::string& path) : file(path) {}

  AtomicFile file;
  std::vector<std::pair<std::string, uint64_t>> tensors;  ///< names and bytes
  size_t at = 0;                                          ///< the tensor whose bytes come next
  uint64_t written = 0;                                   ///< of its bytes
};

GgufStream::GgufStream(const GgufWriter& head, const std::string& path)
    : impl_(std::make_unique<Impl>(path)) {
  for (const auto& tensor : head.tensors_) {
    if (!tensor.data.empty()) {
      fail(ErrorKind::internal, "GGUF: tensor {}: added to a file whose tensors stream",
           printable(tensor.name));
    }
    impl_->tensors.emplace_back(tensor.name, tensor.bytes);
  }
  impl_->file.write(head.head());
}

GgufStream::~GgufStream() = default;

void GgufStream::write(std::span<const std::byte> piece) {
  Impl& s = *impl_;
  if (piece.empty()) return;
  if (s.at == s.tensors.size())
    fail(ErrorKind::internal, "GGUF: {} bytes beyond the last tensor", piece.size());
  const auto& [name, bytes] = s.tensors[s.at];
  if (piece.size() > bytes - s.written) {
    fail(ErrorKind::internal, "GGUF: tensor {}: expected at most {} more bytes, found {}", printable(name),
         bytes - s.written, piece.size());
  }
  s.file.write(piece);
  s.written += piece.size();
  if (s.written < bytes) return;
  s.file.write(padding(bytes));
  s.written = 0;
  ++s.at;
}

void GgufStream::commit() {
  Impl& s = *impl_;
  if (s.at < s.tensors.size()) {
    const auto& [name, bytes] = s.tensors[s.at];
    fail(ErrorKind::internal, "GGUF: tensor {}: expected {} more bytes", printable(name), bytes - s.written);
  }
  s.file.commit();
}

}  // namespace tern
