#include "files/gguf.h"

#include <array>
#include <cmath>
#include <new>

#include "base/checked.h"
#include "base/error.h"
#include "files/printable.h"

namespace tern {
namespace {

std::string_view kind_of(const GgufValue& value) {
  constexpr std::array<std::string_view, std::variant_size_v<GgufValue>> names = {
      "an unsigned integer", "a signed integer",   "a float", "a bool", "a string", "an array of integers",
      "an array of floats",  "an array of strings"};
  return names[value.index()];
}

[[noreturn]] void fail_kind(const GgufFile& file, std::string_view key, std::string_view expected,
                            const GgufValue* found) {
  fail(ErrorKind::bad_input, "{}: key {}: expected {}, found {}", file.name(), printable(key), expected,
       found ? kind_of(*found) : "no such key");
}

template <typename T>
const T& get_as(const GgufFile& file, std::string_view key, std::string_view expected) {
  const GgufValue* value = file.find(key);
  const T* typed = value ? std::get_if<T>(value) : nullptr;
  if (!typed) fail_kind(file, key, expected, value);
  return *typed;
}

}  // namespace

uint64_t GgufTensor::elements() const {
  uint64_t product = 1;
  for (const uint64_t dim : dims) product = checked_mul(product, dim, "tensor elements");
  return product;
}

DType GgufTensor::dtype() const {
  const auto known = find_dtype(ggml_type);
  if (!known) {
    fail(ErrorKind::unsupported, "tensor {}: type {} is not one that tern runs", printable(name),
         ggml_type_name(ggml_type));
  }
  return known->type;
}

uint64_t GgufTensor::bytes() const {
  uint64_t all = row_bytes(dtype(), dims[0]);
  for (size_t d = 1; d < dims.size(); ++d) all = checked_mul(all, dims[d], "tensor bytes");
  return all;
}

TensorBytes GgufTensor::load() const {
  dtype();
  if (!make) return TensorBytes(data);
  std::vector<std::byte> made;
  try {
    made.resize(bytes());
  } catch (const std::bad_alloc&) {
    fail(ErrorKind::limit, "tensor {}: {} bytes of memory are not to be had", printable(name), bytes());
  }
  make(made);
  return TensorBytes(std::move(made));
}

void GgufTensor::release(size_t begin, size_t bytes) const {
  if (mapping) mapping->release(data.data() - mapping->bytes().data() + begin, bytes);
}

GgufFile GgufFile::assemble(std::string name, std::vector<std::pair<std::string, GgufValue>> metadata,
                            std::vector<GgufTensor> tensors, std::shared_ptr<const void> keep) {
  GgufFile file;
  file.name_ = std::move(name);
  file.metadata_ = std::move(metadata);
  file.tensors_ = std::move(tensors);
  file.keep_ = std::move(keep);
  const auto add = [&](Index& index, const std::string& key, size_t at, const char* what) {
    if (index.try_emplace(key, at).second) return;
    fail(ErrorKind::bad_input, "{}: {} {}: expected once, found twice", file.name_, what, printable(key));
  };
  for (size_t i = 0; i < file.metadata_.size(); ++i)
    add(file.metadata_index_, file.metadata_[i].first, i, "key");
  for (size_t i = 0; i < file.tensors_.size(); ++i)
    add(file.tensor_index_, file.tensors_[i].name, i, "tensor");
  return file;
}

const GgufValue* GgufFile::find(std::string_view key) const {
  const auto found = metadata_index_.find(key);
  return found == metadata_index_.end() ? nullptr : &metadata_[found->second].second;
}

std::span<const std::byte> GgufFile::stored(std::string_view key) const {
  const auto found = metadata_index_.find(key);
  if (found == metadata_index_.end() || stored_.empty()) return {};
  return stored_[found->second];
}

void GgufFile::erase_key(std::string_view key) {
  const auto found = metadata_index_.find(key);
  if (found == metadata_index_.end()) return;
  const size_t at = found->second;
  metadata_index_.erase(found);
  metadata_.erase(metadata_.begin() + static_cast<std::ptrdiff_t>(at));
  if (!stored_.empty()) stored_.erase(stored_.begin() + static_cast<std::ptrdiff_t>(at));
  for (auto& [name, index] : metadata_index_) index -= index > at ? 1 : 0;
}

const GgufTensor* GgufFile::find_tensor(std::string_view name) const {
  const auto found = tensor_index_.find(name);
  return found == tensor_index_.end() ? nullptr : &tensors_[found->second];
}

const GgufTensor& GgufFile::tensor(std::string_view name) const {
  const GgufTensor* found = find_tensor(name);
  if (!found)
    fail(ErrorKind::bad_input, "{}: expected a tensor {}, found no such tensor", name_, printable(name));
  return *found;
}

uint64_t GgufFile::get_uint(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value) {
    if (const auto* number = std::get_if<uint64_t>(value)) return *number;
    if (const auto* number = std::get_if<int64_t>(value)) {
      if (*number >= 0) return static_cast<uint64_t>(*number);
      fail(ErrorKind::bad_input, "{}: key {}: expected an integer of at least 0, found {}", name_,
           printable(key), *number);
    }
  }
  fail_kind(*this, key, "an integer", value);
}

uint64_t GgufFile::uint_or(std::string_view key, uint64_t fallback) const {
  return find(key) ? get_uint(key) : fallback;
}

double GgufFile::get_float(std::string_view key) const {
  const double number = get_as<double>(*this, key, "a float");
  if (!std::isfinite(number)) {
    fail(ErrorKind::bad_input, "{}: key {}: expected a finite number, found {}", name_, printable(key),
         number);
  }
  return number;
}

double GgufFile::float_or(std::string_view key, double fallback) const {
  return find(key) ? get_float(key) : fallback;
}

bool GgufFile::bool_or(std::string_view key, bool fallback) const {
  return find(key) ? get_as<bool>(*this, key, "a bool") : fallback;
}

std::string GgufFile::get_string(std::string_view key) const {
  return get_as<std::string>(*this, key, "a string");
}

std::string GgufFile::string_or(std::string_view key, std::string fallback) const {
  return find(key) ? get_string(key) : std::move(fallback);
}

const std::vector<std::string>& GgufFile::get_strings(std::string_view key) const {
  return get_as<std::vector<std::string>>(*this, key, "an array of strings");
}

const std::vector<int64_t>& GgufFile::get_ints(std::string_view key) const {
  return get_as<std::vector<int64_t>>(*this, key, "an array of integers");
}

}  // namespace tern
