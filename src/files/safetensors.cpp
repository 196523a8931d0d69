#include "files/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/atomic_file.h"
#include "base/error.h"
#include "files/printable.h"

namespace tern {
namespace {

// The reference implementation's own limit.
constexpr uint64_t most_header_bytes = 100'000'000;
constexpr size_t most_dims = 32;
constexpr std::string_view metadata_key = "__metadata__";

struct ElementType {
  std::string_view name;
  uint64_t bytes;
};

// Types of less than a byte (F4, F6) are left out: tern refuses them by name.
constexpr std::array<ElementType, 17> element_types = {{
    {"F64", 8},
    {"F32", 4},
    {"F16", 2},
    {"BF16", 2},
    {"I64", 8},
    {"I32", 4},
    {"I16", 2},
    {"I8", 1},
    {"U64", 8},
    {"U32", 4},
    {"U16", 2},
    {"U8", 1},
    {"BOOL", 1},
    {"F8_E4M3", 1},
    {"F8_E5M2", 1},
    {"F8_E8M0", 1},
    {"C64", 8},
}};

std::optional<uint64_t> element_bytes(std::string_view dtype) {
  for (const ElementType& type : element_types) {
    if (type.name == dtype) return type.bytes;
  }
  return std::nullopt;
}

/// Bytes of a tensor; nothing on overflow.
std::optional<uint64_t> tensor_bytes(const std::vector<uint64_t>& shape, uint64_t element) {
  uint64_t bytes = element;
  for (const uint64_t dim : shape) {
    if (__builtin_mul_overflow(bytes, dim, &bytes)) return std::nullopt;
  }
  return bytes;
}

struct HeaderTensor {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> offsets;
  bool has_dtype = false;
  bool has_shape = false;
  bool has_offsets = false;
};

/// Takes the header apart while it is parsed, so that no tree of it is ever built and nothing nests deeper
/// than the format does: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__":
/// {"key": "text"}}.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(const std::string& file, std::map<std::string, std::string>& metadata)
      : file_(file), metadata_(metadata) {}

  std::vector<HeaderTensor> take_tensors() { return std::move(tensors_); }

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a bool"); }
  bool number_float(double, const std::string& text) override { unexpected(text); }
  bool number_integer(int64_t value) override { unexpected(std::to_string(value)); }
  bool binary(binary_t&) override { unexpected("binary"); }

  bool number_unsigned(uint64_t value) override {
    if (!numbers_) unexpected(std::to_string(value));
    if (numbers_->size() == most_dims) {
      fail(ErrorKind::limit, "{}: {}: expected at most {} numbers", file_, place(), most_dims);
    }
    numbers_->push_back(value);
    return true;
  }

  bool string(std::string& value) override {
    if (numbers_) unexpected(printable(value));
    if (level_ == Level::metadata) {
      if (!metadata_.emplace(field_, std::move(value)).second) twice();
    } else if (level_ == Level::tensor && field_ == "dtype") {
      mark(tensors_.back().has_dtype);
      tensors_.back().dtype = std::move(value);
    } else {
      unexpected(printable(value));
    }
    return true;
  }

  bool key(std::string& value) override {
    field_ = std::move(value);
    if (level_ == Level::tensor && field_ != "dtype" && field_ != "shape" && field_ != "data_offsets") {
      fail(ErrorKind::unsupported, "{}: {}: expected dtype, shape or data_offsets", file_, place());
    }
    return true;
  }

  bool start_object(size_t) override {
    switch (level_) {
      case Level::start:
        level_ = Level::top;
        return true;
      case Level::top:
        break;
      default:
        unexpected("an object");
    }
    if (field_ == metadata_key) {
      mark(metadata_seen_);
      level_ = Level::metadata;
    } else {
      tensors_.emplace_back().name = field_;
      level_ = Level::tensor;
    }
    return true;
  }

  bool end_object() override {
    level_ = level_ == Level::top ? Level::start : Level::top;
    return true;
  }

  bool start_array(size_t) override {
    if (level_ != Level::tensor || numbers_ || field_ == "dtype") unexpected("an array");
    HeaderTensor& tensor = tensors_.back();
    const bool shape = field_ == "shape";
    mark(shape ? tensor.has_shape : tensor.has_offsets);
    numbers_ = shape ? &tensor.shape : &tensor.offsets;
    return true;
  }

  bool end_array() override {
    numbers_ = nullptr;
    return true;
  }

  bool parse_error(size_t position, const std::string& last, const nlohmann::json::exception&) override {
    fail(ErrorKind::bad_input, "{}: byte {}: header: expected JSON, found an error after {}", file_,
         8 + position, printable(last));
  }

 private:
  enum class Level { start, top, metadata, tensor };

  std::string place() const {
    switch (level_) {
      case Level::start:
        return "header";
      case Level::top:
        return "header: " + printable(field_);
      case Level::metadata:
        return "metadata " + printable(field_);
      default:
        return "tensor " + printable(tensors_.back().name) + ": " + printable(field_);
    }
  }

  std::string_view expected() const {
    if (numbers_) return "whole numbers of at least 0";
    if (level_ == Level::start || level_ == Level::top) return "an object";
    if (level_ == Level::metadata || field_ == "dtype") return "a string";
    return "an array of whole numbers";
  }

  [[noreturn]] void unexpected(std::string_view found) const {
    fail(ErrorKind::bad_input, "{}: {}: expected {}, found {}", file_, place(), expected(), found);
  }

  /// Notes that a field was seen; a second time is an error.
  void mark(bool& seen) const {
    if (seen) twice();
    seen = true;
  }

  [[noreturn]] void twice() const {
    fail(ErrorKind::bad_input, "{}: {}: expected once, found twice", file_, place());
  }

  const std::string& file_;
  std::map<std::string, std::string>& metadata_;
  std::vector<HeaderTensor> tensors_;
  Level level_ = Level::start;
  bool metadata_seen_ = false;
  std::string field_;                         // the key last seen on the current level
  std::vector<uint64_t>* numbers_ = nullptr;  // the open array, if any
};

/// The JSON header's text. Throws where the length lies.
std::string_view header_text(std::span<const std::byte> bytes, const std::string& file) {
  if (bytes.size() < 8) {
    fail(ErrorKind::bad_input, "{}: byte 0: header length: expected 8 bytes, found {}", file, bytes.size());
  }
  uint64_t length;
  std::memcpy(&length, bytes.data(), 8);
  if (length > most_header_bytes) {
    fail(ErrorKind::limit, "{}: byte 0: header length: expected at most {}, found {}", file,
         most_header_bytes, length);
  }
  if (length > bytes.size() - 8) {
    fail(ErrorKind::bad_input,
         "{}: byte 0: header length: expected at most the {} bytes that remain, found {}", file,
         bytes.size() - 8, length);
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + 8, length);
  if (!text.starts_with('{')) {
    fail(ErrorKind::bad_input, "{}: byte 8: header: expected '{{', found {}", file,
         printable(text.substr(0, 1)));
  }
  return text;
}

/// A tensor whose begin lies where the one before ended and whose size is what dtype and shape say.
SafeTensor checked_tensor(HeaderTensor& header, uint64_t begin, std::span<const std::byte> data,
                          const std::string& file) {
  const std::string what = fmt::format("{}: tensor {}", file, printable(header.name));
  const auto element = element_bytes(header.dtype);
  if (!element)
    fail(ErrorKind::unsupported, "{}: dtype {}: not one that tern reads", what, printable(header.dtype));
  const auto size = tensor_bytes(header.shape, *element);
  if (!size) fail(ErrorKind::bad_input, "{}: shape: its size in bytes overflows", what);
  const uint64_t from = header.offsets[0];
  const uint64_t to = header.offsets[1];
  if (from != begin) {
    fail(ErrorKind::bad_input,
         "{}: data_offsets: expected to begin at {}, where the tensor before ends, found {}", what, begin,
         from);
  }
  if (to < from || to > data.size()) {
    fail(ErrorKind::bad_input, "{}: data_offsets: expected an end from {} to {}, found {}", what, from,
         data.size(), to);
  }
  if (to - from != *size) {
    fail(ErrorKind::bad_input, "{}: data_offsets: expected {} bytes for its shape of {}, found {}", what,
         *size, header.dtype, to - from);
  }
  return {std::move(header.dtype), std::move(header.shape), data.subspan(from, to - from)};
}

void check_complete(const HeaderTensor& tensor, const std::string& file) {
  const auto missing = [&](std::string_view field) {
    fail(ErrorKind::bad_input, "{}: tensor {}: expected a {}, found none", file, printable(tensor.name),
         field);
  };
  if (!tensor.has_dtype) missing("dtype");
  if (!tensor.has_shape) missing("shape");
  if (!tensor.has_offsets) missing("data_offsets");
  if (tensor.offsets.size() != 2) {
    fail(ErrorKind::bad_input, "{}: tensor {}: data_offsets: expected 2 numbers, found {}", file,
         printable(tensor.name), tensor.offsets.size());
  }
}

}  // namespace

SafetensorsFile SafetensorsFile::parse(std::span<const std::byte> bytes, std::string name) {
  static_assert(std::endian::native == std::endian::little, "the header's length is little-endian");
  SafetensorsFile file;
  file.name_ = std::move(name);
  const std::string_view text = header_text(bytes, file.name_);
  HeaderReader reader(file.name_, file.metadata_);
  nlohmann::json::sax_parse(text, &reader);
  auto headers = reader.take_tensors();
  for (const HeaderTensor& header : headers) check_complete(header, file.name_);
  std::sort(headers.begin(), headers.end(),
            [](const HeaderTensor& a, const HeaderTensor& b) { return a.offsets < b.offsets; });
  const auto data = bytes.subspan(8 + text.size());
  uint64_t end = 0;
  for (HeaderTensor& header : headers) {
    SafeTensor tensor = checked_tensor(header, end, data, file.name_);
    end += tensor.data.size();
    if (!file.tensors_.emplace(header.name, std::move(tensor)).second) {
      fail(ErrorKind::bad_input, "{}: tensor {}: expected once, found twice", file.name_,
           printable(header.name));
    }
  }
  if (end != data.size()) {
    fail(ErrorKind::bad_input,
         "{}: byte {}: expected the end of the file after the last tensor, found {} more bytes", file.name_,
         8 + text.size() + end, data.size() - end);
  }
  return file;
}

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  auto mapping = std::make_shared<MappedFile>(path);
  SafetensorsFile file = parse(mapping->bytes(), path);
  file.mapping_ = std::move(mapping);
  return file;
}

const SafeTensor& SafetensorsFile::tensor(std::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    fail(ErrorKind::bad_input, "{}: expected a tensor {}, found no such tensor", name_, printable(name));
  }
  return found->second;
}

void SafetensorsWriter::add(std::string name, std::string dtype, std::vector<uint64_t> shape,
                            std::vector<std::byte> data) {
  const auto element = element_bytes(dtype);
  if (!element)
    fail(ErrorKind::bad_input, "safetensors: tensor {}: unknown dtype {}", printable(name), printable(dtype));
  if (name == metadata_key)
    fail(ErrorKind::bad_input, "safetensors: '{}' cannot name a tensor", metadata_key);
  if (shape.size() > most_dims) {
    fail(ErrorKind::bad_input, "safetensors: tensor {}: expected at most {} dimensions, found {}",
         printable(name), most_dims, shape.size());
  }
  const auto size = tensor_bytes(shape, *element);
  if (!size || *size != data.size()) {
    fail(ErrorKind::bad_input, "safetensors: tensor {}: expected {} bytes for its shape, found {}",
         printable(name), size ? std::to_string(*size) : "an overflow of", data.size());
  }
  const std::string shown = printable(name);
  if (!tensors_.emplace(std::move(name), Entry{std::move(dtype), std::move(shape), std::move(data)}).second) {
    fail(ErrorKind::bad_input, "safetensors: tensor {}: added twice", shown);
  }
}

void SafetensorsWriter::add_metadata(std::string key, std::string value) {
  metadata_.insert_or_assign(std::move(key), std::move(value));
}

template <typename Sink>
void SafetensorsWriter::emit(Sink sink) const {
  // The widest elements first, as the reference writes them: every tensor is then aligned to its elements.
  std::vector<const std::pair<const std::string, Entry>*> order;
  for (const auto& item : tensors_) order.push_back(&item);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return *element_bytes(a->second.dtype) > *element_bytes(b->second.dtype);
  });
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata_.empty()) header[std::string(metadata_key)] = metadata_;
  uint64_t offset = 0;
  for (const auto* item : order) {
    const auto& [name, entry] = *item;
    const uint64_t end = offset + entry.data.size();
    header[name] = {{"dtype", entry.dtype}, {"shape", entry.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::bad_input, "safetensors: a name or value is not UTF-8: {}", error.what());
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  sink(std::as_bytes(std::span(&length, 1)));
  sink(std::as_bytes(std::span(text)));
  for (const auto* item : order) sink(std::span<const std::byte>(item->second.data));
}

void SafetensorsWriter::write(const std::string& path) const {
  AtomicFile file(path);
  emit([&](std::span<const std::byte> part) { file.write(part); });
  file.commit();
}

std::vector<std::byte> SafetensorsWriter::bytes() const {
  std::vector<std::byte> all;
  emit([&](std::span<const std::byte> part) { all.insert(all.end(), part.begin(), part.end()); });
  return all;
}

}  // namespace tern
