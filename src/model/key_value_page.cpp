#include "model/key_value_page.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/checked.h"
#include "kernels/layout.h"

namespace tern {

namespace {

using layout::group_bytes;
using layout::group_cols;
using layout::halves_bytes;
using layout::part_cols;

constexpr size_t kPartBytes = part_cols * kPanelRows;  // of codes, a byte each
constexpr struct {
  CacheType type;
  std::string_view name;
  DType matrix;
} kTypes[] = {{CacheType::automatic, "auto", DType::f32},
              {CacheType::f32, "f32", DType::f32},
              {CacheType::bf16, "bf16", DType::bf16},
              {CacheType::int8, "int8", DType::q8_0}};

template <typename T>
void store(std::byte* to, T value) {
  std::memcpy(to, &value, sizeof value);
}
template <typename T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Where row r's value of column c lies in a panel of 32-bit or bf16 values, and of codes.
size_t f32_at(size_t r, size_t c) {
  return (c * kPanelRows + r) * 4;
}
size_t bf16_at(size_t r, size_t c) {
  return (c / 2 * kPanelRows + r) * 4 + c % 2 * 2;
}
size_t code_at(size_t r, size_t c) {
  return c / group_cols * group_bytes + r * group_cols + c % group_cols;
}

// The nearest integer as a byte, for |x| far below 2^22: what floats of that size round to in their last bit.
int8_t nearest(float x) {
  return static_cast<int8_t>(std::bit_cast<int32_t>(x + 0x1.8p23f));
}

// What int8 values are multiplied with; as Kernels::quantize_q8 has it.
float scale_of(const float* x, size_t n) {
  uint32_t most = 0;  // as integers, magnitudes order like the floats, and NaNs lie above infinity
  for (size_t i = 0; i < n; ++i) most = std::max(most, std::bit_cast<uint32_t>(x[i]) & 0x7fffffff);
  if (most >= 0x7f800000) return std::numeric_limits<float>::quiet_NaN();
  const float scale = std::bit_cast<float>(most) / 127.0f;
  return scale < std::numeric_limits<float>::min() ? 0.0f : scale;
}

/// A row of codes {cols} as floats; `records` has the panel's scales.
void read_codes(const std::byte* panel, const std::byte* records, size_t row, size_t cols, float* to) {
  for (size_t c = 0; c < cols; c += part_cols) {
    int8_t codes[part_cols];
    for (size_t i = 0; i < part_cols; i += group_cols)
      std::memcpy(codes + i, panel + c * kPanelRows + code_at(row, i), group_cols);
    const float scale = f16_to_f32(load<uint16_t>(records + c / part_cols * halves_bytes + row * 2));
    float x[part_cols];
    for (size_t i = 0; i < part_cols; ++i) x[i] = scale * static_cast<float>(codes[i]);
    std::copy_n(x, std::min(part_cols, cols - c), to + c);
  }
}

}  // namespace

std::string_view cache_type_name(CacheType type) {
  return kTypes[static_cast<size_t>(type)].name;
}

CacheType parse_cache_type(std::string_view name) {
  for (const auto& type : kTypes) {
    if (type.name == name) return type.type;
  }
  fail(ErrorKind::bad_input, "cache type \"{}\": expected auto, f32, bf16 or int8", name);
}

KeyValuePage::KeyValuePage(CacheType type, const KeyValueShape& shape)
    : type_(kTypes[static_cast<size_t>(type)].matrix) {
  if (shape.heads < 1 || shape.key < 1 || shape.value < 1) {
    fail(ErrorKind::limit, "cache: expected heads with keys and values, found {} of {} and {}", shape.heads,
         shape.key, shape.value);
  }
  heads_ = static_cast<size_t>(shape.heads);
  key_ = static_cast<size_t>(shape.key);
  value_ = static_cast<size_t>(shape.value);
  key_cols_ = quantized() ? round_up(key_, part_cols) : key_;
  key_panel_bytes_ = packed_panel_bytes(type_, key_cols_);
  value_panel_bytes_ = packed_panel_bytes(type_, kPageTokens);
  scales_offset_ = values_offset(value_blocks());
  const size_t scales = quantized() ? value_blocks() * kPageTokens * sizeof(float) : 0;
  head_bytes_ = checked_add(scales_offset_, scales, "cache");
  checked_mul(heads_, head_bytes_, "cache");
}

size_t KeyValuePage::block_width(size_t block) const {
  return std::min(kValueBlock, value_ - block * kValueBlock);
}

size_t KeyValuePage::values_offset(size_t block) const {
  const size_t panels = (std::min(block * kValueBlock, value_) + kPanelRows - 1) / kPanelRows;
  return kPageTokens / kPanelRows * key_panel_bytes_ + panels * value_panel_bytes_;
}

PackedMatrix KeyValuePage::keys(const std::byte* page, size_t head) const {
  return {type_, kPageTokens, key_cols_, page + head * head_bytes_};
}

PackedMatrix KeyValuePage::values(const std::byte* page, size_t head, size_t block) const {
  return {type_, block_width(block), kPageTokens, page + head * head_bytes_ + values_offset(block)};
}

const float* KeyValuePage::value_scales(const std::byte* page, size_t head, size_t block) const {
  return reinterpret_cast<const float*>(page + head * head_bytes_ + scales_offset_) + block * kPageTokens;
}

void KeyValuePage::put(const Kernels& kernels, std::byte* page, size_t slot, size_t head, const float* key,
                       const float* value) const {
  std::byte* at = head_at(page, head);
  put_key(kernels, at + slot / kPanelRows * key_panel_bytes_, slot % kPanelRows, key);
  float* scales = reinterpret_cast<float*>(at + scales_offset_) + slot;
  for (size_t block = 0; block < value_blocks(); ++block) {
    put_values(at + values_offset(block), scales + block * kPageTokens, slot, value + block * kValueBlock,
               block_width(block));
  }
}

void KeyValuePage::put_key(const Kernels& kernels, std::byte* panel, size_t row, const float* key) const {
  if (type_ == DType::f32) {
    for (size_t c = 0; c < key_; ++c) store(panel + f32_at(row, c), key[c]);
    return;
  }
  if (type_ == DType::bf16) {
    for (size_t c = 0; c < key_; ++c) store(panel + bf16_at(row, c), f32_to_bf16(key[c]));
    return;
  }
  std::byte* records = panel + key_cols_ / part_cols * kPartBytes;
  for (size_t c = 0; c < key_cols_; c += part_cols) {
    float x[part_cols] = {};
    std::copy_n(key + c, std::min(part_cols, key_ - c), x);
    int8_t codes[part_cols];
    float scale;
    int32_t sums[part_cols / layout::half_part];
    kernels.quantize_q8(x, part_cols, codes, &scale, sums);
    for (size_t i = 0; i < part_cols; i += group_cols)
      std::memcpy(panel + c * kPanelRows + code_at(row, i), codes + i, group_cols);
    store(records + c / part_cols * halves_bytes + row * 2, f32_to_f16(scale));
  }
}

void KeyValuePage::put_values(std::byte* values, float* scale, size_t slot, const float* x,
                              size_t count) const {
  const auto panel = [&](size_t d) { return values + d / kPanelRows * value_panel_bytes_; };
  if (type_ == DType::f32) {
    for (size_t d = 0; d < count; ++d) store(panel(d) + f32_at(d % kPanelRows, slot), x[d]);
    return;
  }
  if (type_ == DType::bf16) {
    for (size_t d = 0; d < count; ++d) store(panel(d) + bf16_at(d % kPanelRows, slot), f32_to_bf16(x[d]));
    return;
  }
  *scale = scale_of(x, count);
  const float inverse = *scale > 0 ? 1 / *scale : 0;  // not of a NaN
  for (size_t d = 0; d < count; ++d) {
    const int8_t code = inverse > 0 ? nearest(x[d] * inverse) : 0;
    store(panel(d) + code_at(d % kPanelRows, slot), code);
  }
  if (slot > 0) return;
  // A page's first token writes the records, too: scales of 1.
  for (size_t d = 0; d < count; d += kPanelRows) {
    for (size_t r = 0; r < kPanelRows; ++r) store(panel(d) + kPartBytes + r * 2, f32_to_f16(1.0f));
  }
}

void KeyValuePage::read_keys(const std::byte* page, size_t head, size_t count, float* to) const {
  for (size_t slot = 0; slot < count; ++slot) {
    const std::byte* panel = page + head * head_bytes_ + slot / kPanelRows * key_panel_bytes_;
    const size_t row = slot % kPanelRows;
    float* key = to + slot * key_;
    if (type_ == DType::f32) {
      for (size_t c = 0; c < key_; ++c) key[c] = load<float>(panel + f32_at(row, c));
    } else if (type_ == DType::bf16) {
      for (size_t c = 0; c < key_; ++c) key[c] = bf16_to_f32(load<uint16_t>(panel + bf16_at(row, c)));
    } else {
      read_codes(panel, panel + key_cols_ / part_cols * kPartBytes, row, key_, key);
    }
  }
}

}  // namespace tern
