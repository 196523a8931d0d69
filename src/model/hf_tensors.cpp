#include "model/hf_tensors.h"

#include <fmt/ranges.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>

#include "base/checked.h"
#include "base/error.h"
#include "files/printable.h"

namespace tern {
namespace {

std::optional<DType> plain_type(std::string_view dtype) {
  if (dtype == "F32") return DType::f32;
  if (dtype == "F16") return DType::f16;
  if (dtype == "BF16") return DType::bf16;
  return std::nullopt;
}

constexpr std::string_view fp8 = "F8_E4M3";

/// OCP FP8 E4M3: bias 7, no infinities, NaN where all bits but the sign are set.
std::array<float, 256> e4m3_values() {
  std::array<float, 256> values;
  for (int bits = 0; bits < 256; ++bits) {
    const int exponent = (bits >> 3) & 15, fraction = bits & 7;
    float value = exponent == 0 ? std::ldexp(static_cast<float>(fraction), -9)
                                : std::ldexp(static_cast<float>(8 + fraction), exponent - 10);
    if ((bits & 0x7f) == 0x7f) value = std::numeric_limits<float>::quiet_NaN();
    values[static_cast<size_t>(bits)] = (bits & 0x80) != 0 ? -value : value;
  }
  return values;
}

float scale_at(const SafeTensor& scales, uint64_t row, uint64_t col) {
  const uint64_t at = row * scales.shape[1] + col;
  if (scales.dtype == "BF16") {
    uint16_t bits;
    std::memcpy(&bits, scales.data.data() + 2 * at, 2);
    return bf16_to_f32(bits);
  }
  float scale;
  std::memcpy(&scale, scales.data.data() + 4 * at, 4);
  return scale;
}

uint64_t ceil_div(uint64_t a, uint64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

}  // namespace

bool HfRows::stands_as_is() const {
  const size_t alignment = traits(type).block_bytes;
  return !scales && reinterpret_cast<uintptr_t>(data.data()) % alignment == 0;
}

void HfRows::read(uint64_t row, std::byte* to) const {
  if (!scales) {
    std::memcpy(to, data.data() + row * row_bytes(), row_bytes());
    return;
  }
  static const std::array<float, 256> values = e4m3_values();
  const std::byte* from = data.data() + row * cols;
  for (uint64_t begin = 0; begin < cols; begin += block_cols) {
    const float scale = scale_at(*scales, row / block_rows, begin / block_cols);
    for (uint64_t c = begin; c < std::min(cols, begin + block_cols); ++c) {
      const uint16_t bits = f32_to_bf16(values[std::to_integer<size_t>(from[c])] * scale);
      std::memcpy(to + 2 * c, &bits, 2);
    }
  }
}

void HfRows::release() const {
  if (mapping) mapping->release(static_cast<size_t>(data.data() - mapping->bytes().data()), data.size());
}

HfTensors::HfTensors(std::string name, const std::vector<SafetensorsFile>& files, uint64_t block_rows,
                     uint64_t block_cols)
    : name_(std::move(name)), block_rows_(block_rows), block_cols_(block_cols) {
  for (const SafetensorsFile& file : files) {
    for (const auto& [tensor, content] : file.tensors()) {
      if (!entries_.try_emplace(tensor, Entry{&content, file.mapping()}).second)
        fail(ErrorKind::bad_input, "{}: tensor {}: two files have it", name_, printable(tensor));
    }
  }
}

bool HfTensors::has(std::string_view tensor) const {
  return entries_.contains(tensor);
}

const HfTensors::Entry& HfTensors::find(const std::string& tensor, const Shape& shape) {
  const auto found = entries_.find(tensor);
  if (found == entries_.end())
    fail(ErrorKind::bad_input, "{}: expected a tensor {}, found no such tensor", name_, printable(tensor));
  const Shape& actual = found->second.tensor->shape;
  if (actual != shape) {
    fail(ErrorKind::bad_input, "{}: tensor {}: expected the shape [{}], found [{}]", name_, printable(tensor),
         fmt::join(shape, ", "), fmt::join(actual, ", "));
  }
  read_.insert(tensor);
  return found->second;
}

HfRows HfTensors::get(const std::string& tensor, const Shape& shape) {
  const Entry& entry = find(tensor, shape);
  HfRows rows{.rows = 1, .cols = shape.back(), .data = entry.tensor->data, .mapping = entry.mapping};
  for (size_t d = 0; d + 1 < shape.size(); ++d) rows.rows = checked_mul(rows.rows, shape[d], "tensor rows");
  if (const auto plain = plain_type(entry.tensor->dtype)) {
    rows.type = *plain;
    return rows;
  }
  if (entry.tensor->dtype != fp8 || shape.size() != 2 || block_rows_ == 0) {
    fail(ErrorKind::unsupported,
         "{}: tensor {}: {}: expected F32, F16, BF16, or F8_E4M3 matrices with a weight_block_size in "
         "config.json",
         name_, printable(tensor), printable(entry.tensor->dtype));
  }
  rows.type = DType::bf16;
  rows.block_rows = block_rows_;
  rows.block_cols = block_cols_;
  const Entry& scales =
      find(tensor + "_scale_inv", {ceil_div(shape[0], block_rows_), ceil_div(shape[1], block_cols_)});
  if (scales.tensor->dtype != "F32" && scales.tensor->dtype != "BF16") {
    fail(ErrorKind::unsupported, "{}: tensor {}: {}: expected F32 or BF16", name_,
         printable(tensor + "_scale_inv"), printable(scales.tensor->dtype));
  }
  rows.scales = scales.tensor;
  return rows;
}

const SafeTensor& HfTensors::get_bytes(const std::string& tensor, const Shape& shape) {
  const Entry& entry = find(tensor, shape);
  if (entry.tensor->dtype != "U8") {
    fail(ErrorKind::bad_input, "{}: tensor {}: expected U8, found {}", name_, printable(tensor),
         printable(entry.tensor->dtype));
  }
  return *entry.tensor;
}

const MappedFile* HfTensors::mapping(std::string_view tensor) const {
  const auto found = entries_.find(tensor);
  return found == entries_.end() ? nullptr : found->second.mapping;
}

void HfTensors::ignore(std::string_view tensor) {
  if (has(tensor)) read_.emplace(tensor);
}

void HfTensors::refuse_unread(std::string_view architecture) const {
  for (const auto& [tensor, entry] : entries_) {
    // Frequencies that old exports carry along: they follow from config.json.
    if (read_.contains(tensor) || tensor.ends_with(".rotary_emb.inv_freq")) continue;
    fail(ErrorKind::unsupported, "{}: tensor {} is no part of {} as tern reads it", name_, printable(tensor),
         architecture);
  }
}

}  // namespace tern
