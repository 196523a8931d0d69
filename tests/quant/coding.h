// Encoding and decoding of whole vectors, for tests.
#pragma once

#include <vector>

#include "quant/types.h"

namespace tern::test {

inline std::vector<std::byte> encoded(DType type, const std::vector<float>& weights) {
  std::vector<std::byte> bytes(row_bytes(type, weights.size()));
  encode(type, weights.data(), weights.size(), bytes.data());
  return bytes;
}

inline std::vector<float> decoded(DType type, const std::vector<std::byte>& bytes, size_t n) {
  std::vector<float> weights(n);
  decode(type, bytes.data(), n, weights.data());
  return weights;
}

}  // namespace tern::test
