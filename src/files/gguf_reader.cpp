// GGUF bytes to a GgufFile. Nothing is allocated before its size was compared with the bytes that remain.
#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>
#include <type_traits>

#include "base/checked.h"
#include "base/error.h"
#include "files/gguf.h"
#include "files/gguf_format.h"
#include "files/printable.h"

namespace tern {
namespace {

using gguf::ValueType;

/// Reads little-endian numbers and strings from the front of the file; knows the file and the offset for
/// errors.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return bytes_.size() - offset_; }

  /// Where the next byte lies, as an error begins: "model.gguf: byte 24".
  std::string place() const { return fmt::format("{}: byte {}", file_, offset_); }

  std::span<const std::byte> take(uint64_t n, std::string_view what) {
    if (n > remaining()) {
      fail(ErrorKind::bad_input, "{}: {}: expected {} more bytes, found {} before the end of the file",
           place(), what, n, remaining());
    }
    const auto taken = bytes_.subspan(offset_, n);
    offset_ += n;
    return taken;
  }

  template <typename T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  std::string_view string(std::string_view what) {
    const auto length = number<uint64_t>(what);
    const auto text = take(length, what);
    return {reinterpret_cast<const char*>(text.data()), text.size()};
  }

  /// A number of things that take at least `least` bytes each.
  uint64_t count(std::string_view what, uint64_t least) {
    const std::string where = place();
    const auto n = number<uint64_t>(what);
    if (n > remaining() / least) {
      fail(ErrorKind::bad_input, "{}: {}: expected at most {} in the {} bytes that remain, found {}", where,
           what, remaining() / least, remaining(), n);
    }
    return n;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& file_;
  uint64_t offset_ = 0;
};

bool read_bool(Cursor& in, std::string_view what) {
  const std::string where = in.place();
  const auto byte = in.number<uint8_t>(what);
  if (byte > 1) fail(ErrorKind::bad_input, "{}: {}: expected a bool (0 or 1), found {}", where, what, byte);
  return byte == 1;
}

template <typename From, typename To>
std::vector<To> read_numbers(Cursor& in, uint64_t n, const std::string& what) {
  const std::string where = in.place();
  const auto bytes = in.take(checked_mul(n, sizeof(From), "array bytes"), what);
  std::vector<To> values(n);
  for (uint64_t i = 0; i < n; ++i) {
    From value;
    std::memcpy(&value, bytes.data() + i * sizeof(From), sizeof(From));
    if constexpr (std::is_same_v<From, uint64_t>) {
      if (value > static_cast<uint64_t>(INT64_MAX)) {
        fail(ErrorKind::bad_input, "{}: {}: element {}: expected at most {}, found {}", where, what, i,
             INT64_MAX, value);
      }
    }
    values[i] = static_cast<To>(value);
  }
  return values;
}

std::vector<int64_t> read_bools(Cursor& in, uint64_t n, const std::string& what) {
  std::vector<int64_t> values(n);
  for (auto& value : values) value = read_bool(in, what) ? 1 : 0;
  return values;
}

std::vector<std::string> read_strings(Cursor& in, uint64_t n, const std::string& what) {
  std::vector<std::string> values;
  values.reserve(n);
  for (uint64_t i = 0; i < n; ++i) values.emplace_back(in.string(what));
  return values;
}

uint64_t least_bytes(ValueType type) {
  switch (type) {
    case ValueType::u8:
    case ValueType::i8:
    case ValueType::boolean:
      return 1;
    case ValueType::u16:
    case ValueType::i16:
      return 2;
    case ValueType::u32:
    case ValueType::i32:
    case ValueType::f32:
      return 4;
    default:
      return 8;
  }
}

/// Parses one file from front to back.
class Parser {
 public:
  Parser(std::span<const std::byte> bytes, const std::string& file)
      : bytes_(bytes), file_(file), in_(bytes, file) {}

  uint32_t read_version();
  void read_counts();
  /// Calls add(key as it stands in the file, value, the value's type and bytes in the file).
  template <typename Add>
  void read_metadata(Add add);
  /// Calls add(name as it stands in the file, tensor); the tensors' data is still empty.
  template <typename Add>
  void read_tensor_infos(Add add);
  void place_tensors(std::vector<GgufTensor>& tensors, uint64_t alignment) const;

 private:
  GgufValue read_value(const std::string& what);
  GgufValue read_array(const std::string& what);
  GgufTensor read_tensor_info(std::string_view name);
  uint64_t bytes_of(const GgufTensor& tensor) const;
  void check_disjoint(const std::vector<GgufTensor>& tensors, const std::vector<uint64_t>& sizes) const;

  std::span<const std::byte> bytes_;
  const std::string& file_;
  Cursor in_;
  uint64_t metadata_count_ = 0;
  uint64_t tensor_count_ = 0;
  uint64_t array_elements_ = 0;
  std::vector<uint64_t> info_at_;  // where in the file each tensor's offset field lies
  std::vector<uint64_t> offsets_;  // each tensor's data, relative to the data section
};

uint32_t Parser::read_version() {
  const auto magic_bytes = in_.take(4, "magic");
  const std::string_view magic(reinterpret_cast<const char*>(magic_bytes.data()), 4);
  if (magic == gguf::magic_big_endian) {
    fail(ErrorKind::unsupported,
         "{}: byte 0: magic 'FUGG': a big-endian GGUF file; tern reads little-endian ones", file_);
  }
  if (magic != gguf::magic) {
    fail(ErrorKind::bad_input, "{}: byte 0: magic: expected 'GGUF', found {}", file_, printable(magic));
  }
  const auto version = in_.number<uint32_t>("version");
  if (version != 0 && (version & 0xffff) == 0) {
    fail(ErrorKind::unsupported,
         "{}: byte 4: version {:#010x}: a big-endian GGUF file; tern reads little-endian ones", file_,
         version);
  }
  if (version != 2 && version != 3) {
    fail(ErrorKind::unsupported, "{}: byte 4: GGUF version {}: expected 2 or 3", file_, version);
  }
  return version;
}

void Parser::read_counts() {
  tensor_count_ = in_.count("tensor count", 8 + 4 + 8 + 4 + 8);  // name, dimensions, type, offset
  metadata_count_ = in_.count("metadata count", 8 + 4 + 1);      // key, type, value
}

GgufValue Parser::read_array(const std::string& what) {
  const std::string where = in_.place();
  const auto type = in_.number<uint32_t>(what);
  const auto element = static_cast<ValueType>(type);
  if (element == ValueType::array) {
    fail(ErrorKind::unsupported, "{}: {}: an array of arrays, which tern does not read", where, what);
  }
  if (type > static_cast<uint32_t>(ValueType::f64)) {
    fail(ErrorKind::bad_input, "{}: {}: array: expected an element type of 0 to 12, found {}", where, what,
         type);
  }
  const uint64_t n = in_.count(what, least_bytes(element));
  array_elements_ += n;  // cannot overflow: n is at most the file's size, and so is the sum
  if (array_elements_ > gguf::most_array_elements) {
    fail(ErrorKind::limit, "{}: {}: expected at most {} array elements in a file, found {}", where, what,
         gguf::most_array_elements, array_elements_);
  }
  switch (element) {
    case ValueType::u8:
      return read_numbers<uint8_t, int64_t>(in_, n, what);
    case ValueType::i8:
      return read_numbers<int8_t, int64_t>(in_, n, what);
    case ValueType::u16:
      return read_numbers<uint16_t, int64_t>(in_, n, what);
    case ValueType::i16:
      return read_numbers<int16_t, int64_t>(in_, n, what);
    case ValueType::u32:
      return read_numbers<uint32_t, int64_t>(in_, n, what);
    case ValueType::i32:
      return read_numbers<int32_t, int64_t>(in_, n, what);
    case ValueType::u64:
      return read_numbers<uint64_t, int64_t>(in_, n, what);
    case ValueType::i64:
      return read_numbers<int64_t, int64_t>(in_, n, what);
    case ValueType::f32:
      return read_numbers<float, double>(in_, n, what);
    case ValueType::f64:
      return read_numbers<double, double>(in_, n, what);
    case ValueType::boolean:
      return read_bools(in_, n, what);
    default:
      return read_strings(in_, n, what);
  }
}

GgufValue Parser::read_value(const std::string& what) {
  const std::string where = in_.place();
  const auto type = in_.number<uint32_t>(what);
  switch (static_cast<ValueType>(type)) {
    case ValueType::u8:
      return uint64_t{in_.number<uint8_t>(what)};
    case ValueType::i8:
      return int64_t{in_.number<int8_t>(what)};
    case ValueType::u16:
      return uint64_t{in_.number<uint16_t>(what)};
    case ValueType::i16:
      return int64_t{in_.number<int16_t>(what)};
    case ValueType::u32:
      return uint64_t{in_.number<uint32_t>(what)};
    case ValueType::i32:
      return int64_t{in_.number<int32_t>(what)};
    case ValueType::u64:
      return in_.number<uint64_t>(what);
    case ValueType::i64:
      return in_.number<int64_t>(what);
    case ValueType::f32:
      return static_cast<double>(in_.number<float>(what));
    case ValueType::f64:
      return in_.number<double>(what);
    case ValueType::boolean:
      return read_bool(in_, what);
    case ValueType::string:
      return std::string(in_.string(what));
    case ValueType::array:
      return read_array(what);
  }
  fail(ErrorKind::bad_input, "{}: {}: expected a value type of 0 to 12, found {}", where, what, type);
}

template <typename Add>
void Parser::read_metadata(Add add) {
  for (uint64_t i = 0; i < metadata_count_; ++i) {
    const std::string where = in_.place();
    const std::string_view key = in_.string(fmt::format("key {} of {}", i + 1, metadata_count_));
    if (key.empty() || key.size() > gguf::most_key_bytes) {
      fail(ErrorKind::bad_input, "{}: key {} of {}: expected 1 to {} bytes, found {}", where, i + 1,
           metadata_count_, gguf::most_key_bytes, key.size());
    }
    const uint64_t begin = in_.offset();
    GgufValue value = read_value("key " + printable(key));
    if (!add(key, std::move(value), bytes_.subspan(begin, in_.offset() - begin))) {
      fail(ErrorKind::bad_input, "{}: key {}: expected once, found twice", where, printable(key));
    }
  }
}

GgufTensor Parser::read_tensor_info(std::string_view name) {
  const std::string what = "tensor " + printable(name);
  GgufTensor tensor;
  tensor.name = name;
  const std::string where = in_.place();
  const auto n_dims = in_.number<uint32_t>(what);
  if (n_dims < 1 || n_dims > gguf::most_dims) {
    fail(ErrorKind::bad_input, "{}: {}: expected 1 to {} dimensions, found {}", where, what, gguf::most_dims,
         n_dims);
  }
  uint64_t elements = 1;
  for (uint32_t d = 0; d < n_dims; ++d) {
    const std::string dim_where = in_.place();
    const auto dim = in_.number<uint64_t>(what);
    if (dim == 0)
      fail(ErrorKind::bad_input, "{}: {}: dimension {}: expected at least 1, found 0", dim_where, what, d);
    if (__builtin_mul_overflow(elements, dim, &elements)) {
      fail(ErrorKind::bad_input, "{}: {}: dimension {}: the product of the dimensions overflows at {}",
           dim_where, what, d, dim);
    }
    tensor.dims.push_back(dim);
  }
  const std::string type_where = in_.place();
  tensor.ggml_type = in_.number<uint32_t>(what);
  if (const auto type = find_dtype(tensor.ggml_type); type && tensor.dims[0] % type->block_size != 0) {
    fail(ErrorKind::bad_input, "{}: {}: {} rows: expected a multiple of {} weights, found {}", type_where,
         what, type->name, type->block_size, tensor.dims[0]);
  }
  info_at_.push_back(in_.offset());
  offsets_.push_back(in_.number<uint64_t>(what));
  return tensor;
}

template <typename Add>
void Parser::read_tensor_infos(Add add) {
  info_at_.reserve(tensor_count_);
  offsets_.reserve(tensor_count_);
  for (uint64_t i = 0; i < tensor_count_; ++i) {
    const std::string where = in_.place();
    const std::string_view name = in_.string(fmt::format("name of tensor {} of {}", i + 1, tensor_count_));
    if (name.empty() || name.size() > gguf::most_tensor_name_bytes) {
      fail(ErrorKind::bad_input, "{}: name of tensor {} of {}: expected 1 to {} bytes, found {}", where,
           i + 1, tensor_count_, gguf::most_tensor_name_bytes, name.size());
    }
    if (!add(name, read_tensor_info(name))) {
      fail(ErrorKind::bad_input, "{}: tensor {}: expected once, found twice", where, printable(name));
    }
  }
}

/// 0 for types that tern does not run: their size is unknown.
uint64_t Parser::bytes_of(const GgufTensor& tensor) const {
  const auto type = find_dtype(tensor.ggml_type);
  if (!type) return 0;
  uint64_t size;
  if (__builtin_mul_overflow(tensor.elements() / type->block_size, uint64_t{type->block_bytes}, &size)) {
    fail(ErrorKind::bad_input, "{}: tensor {}: {} weights of {}: their size in bytes overflows", file_,
         printable(tensor.name), tensor.elements(), type->name);
  }
  return size;
}

void Parser::place_tensors(std::vector<GgufTensor>& tensors, uint64_t alignment) const {
  const uint64_t data_begin = round_up(in_.offset(), alignment);
  const uint64_t data_bytes = bytes_.size() > data_begin ? bytes_.size() - data_begin : 0;
  std::vector<uint64_t> sizes;
  sizes.reserve(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    GgufTensor& tensor = tensors[i];
    const uint64_t size = bytes_of(tensor);
    if (offsets_[i] % alignment != 0) {
      fail(ErrorKind::bad_input,
           "{}: byte {}: tensor {}: expected an offset that is a multiple of {}, found {}", file_,
           info_at_[i], printable(tensor.name), alignment, offsets_[i]);
    }
    if (offsets_[i] > data_bytes || size > data_bytes - offsets_[i]) {
      fail(ErrorKind::bad_input,
           "{}: byte {}: tensor {}: expected its {} bytes at offset {} inside the {} bytes of data", file_,
           info_at_[i], printable(tensor.name), size, offsets_[i], data_bytes);
    }
    if (size > 0) tensor.data = bytes_.subspan(data_begin + offsets_[i], size);
    sizes.push_back(size);
  }
  check_disjoint(tensors, sizes);
}

void Parser::check_disjoint(const std::vector<GgufTensor>& tensors,
                            const std::vector<uint64_t>& sizes) const {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return std::pair(offsets_[a], sizes[a]) < std::pair(offsets_[b], sizes[b]);
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const size_t before = order[i - 1];
    const size_t here = order[i];
    if (offsets_[before] + sizes[before] > offsets_[here]) {
      fail(ErrorKind::bad_input, "{}: byte {}: tensor {}: at offset {} it overlaps tensor {}, bytes {} to {}",
           file_, info_at_[here], printable(tensors[here].name), offsets_[here],
           printable(tensors[before].name), offsets_[before], offsets_[before] + sizes[before]);
    }
  }
}

uint64_t alignment_of(const GgufFile& file) {
  const uint64_t alignment = file.uint_or(gguf::alignment_key, gguf::default_alignment);
  if (!std::has_single_bit(alignment) || alignment < gguf::least_alignment ||
      alignment > gguf::most_alignment) {
    fail(ErrorKind::bad_input, "{}: key '{}': expected a power of two from {} to {}, found {}", file.name(),
         gguf::alignment_key, gguf::least_alignment, gguf::most_alignment, alignment);
  }
  return alignment;
}

}  // namespace

GgufFile GgufFile::parse(std::span<const std::byte> bytes, std::string name) {
  static_assert(std::endian::native == std::endian::little, "the reader copies little-endian numbers");
  GgufFile file;
  file.name_ = std::move(name);
  file.file_bytes_ = bytes.size();
  Parser parser(bytes, file.name_);
  file.version_ = parser.read_version();
  parser.read_counts();
  parser.read_metadata([&](std::string_view key, GgufValue value, std::span<const std::byte> stored) {
    if (!file.metadata_index_.try_emplace(std::string(key), file.metadata_.size()).second) return false;
    file.metadata_.emplace_back(key, std::move(value));
    file.stored_.push_back(stored);
    return true;
  });
  const uint64_t alignment = alignment_of(file);
  parser.read_tensor_infos([&](std::string_view tensor_name, GgufTensor tensor) {
    if (!file.tensor_index_.try_emplace(std::string(tensor_name), file.tensors_.size()).second) return false;
    file.tensors_.push_back(std::move(tensor));
    return true;
  });
  parser.place_tensors(file.tensors_, alignment);
  return file;
}

GgufFile GgufFile::open_one(const std::string& path) {
  auto mapping = std::make_shared<MappedFile>(path);
  GgufFile file = parse(mapping->bytes(), path);
  for (GgufTensor& tensor : file.tensors_) tensor.mapping = mapping.get();
  file.keep_ = std::move(mapping);
  return file;
}

}  // namespace tern
