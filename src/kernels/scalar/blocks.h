// The oracle's part for block formats.
#pragma once

#include "kernels/kernels.h"

namespace tern {

/// One row of a packed panel times one token's quantized activations, added to y, as Kernels::matmul says.
float scalar_block_dot(const PackedMatrix& w, const std::byte* panel, size_t row, const int8_t* q,
                       const float* scales, const int32_t* sums, float y);

}  // namespace tern
