// How the keys and values of a page of tokens lie in the cache, so that attention over a page is two matrix
// products by the kernels of packed weights: scores = queries K^T, and sums = weights V.
//
//   page of a layer   [head] keys, values, scales of values; each part 64-byte aligned
//   keys              a packed matrix {kPageTokens, key}, see kernels/layout.h
//   values            for each 256 dimensions one of {dimensions, kPageTokens}: a token is a column
//   int8              keys are Q8_0, each token's 32 dimensions with a scale. A token's values share one
//                     scale for each 256 dimensions, which the products' weights are multiplied with: so the
//                     matrix is Q8_0 with scales of 1
//
// Multi-head latent attention has one head, whose values are the latents in its keys once more, laid out for
// the other product.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/kernels.h"

namespace tern {

/// How exactly keys and values are kept; automatic: int8 where the weights that make them are quantized, else
/// f32.
enum class CacheType { automatic, f32, bf16, int8 };
std::string_view cache_type_name(CacheType type);
/// Throws Error{bad_input} listing them.
CacheType parse_cache_type(std::string_view name);

/// What a model keeps of a token and layer.
struct KeyValueShape {
  int heads = 1;           ///< that have keys of their own
  int key = 0, value = 0;  ///< dimensions of a head's
};

class KeyValuePage {
 public:
  static constexpr size_t kPageTokens = 32;
  static constexpr size_t kValueBlock = 256;  ///< dimensions of values that share a token's scale

  KeyValuePage() = default;
  /// `type` is not automatic. Throws Error{limit} for a shape that can't be.
  KeyValuePage(CacheType type, const KeyValueShape& shape);

  /// Whether the products want their activations quantized.
  bool quantized() const { return type_ == DType::q8_0; }
  /// Of a layer's page, a multiple of 64.
  uint64_t bytes() const { return heads_ * head_bytes_; }
  /// Columns of the keys' matrix: the key's dimensions, rounded up to 32 for int8.
  size_t key_cols() const { return key_cols_; }
  size_t value_blocks() const { return (value_ + kValueBlock - 1) / kValueBlock; }
  size_t block_width(size_t block) const;

  PackedMatrix keys(const std::byte* page, size_t head) const;
  PackedMatrix values(const std::byte* page, size_t head, size_t block) const;
  /// {kPageTokens}: what a token's values of this block are to be multiplied with; int8 only.
  const float* value_scales(const std::byte* page, size_t head, size_t block) const;

  /// Writes a head's {key} and {value} of the token in place `slot` of the page. Places may be written by
  /// several threads at once.
  void put(const Kernels& kernels, std::byte* page, size_t slot, size_t head, const float* key,
           const float* value) const;
  /// The keys of the first `count` tokens as floats, {count, key}.
  void read_keys(const std::byte* page, size_t head, size_t count, float* to) const;

 private:
  std::byte* head_at(std::byte* page, size_t head) const { return page + head * head_bytes_; }
  size_t values_offset(size_t block) const;
  void put_key(const Kernels& kernels, std::byte* keys, size_t slot, const float* key) const;
  void put_values(std::byte* values, float* scale, size_t slot, const float* x, size_t count) const;

  DType type_ = DType::f32;
  size_t heads_ = 0, key_ = 0, value_ = 0;
  size_t key_cols_ = 0;
  size_t key_panel_bytes_ = 0, value_panel_bytes_ = 0;
  size_t scales_offset_ = 0, head_bytes_ = 0;
};

}  // namespace tern
