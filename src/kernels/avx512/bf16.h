// BF16 weights times activations rounded to bf16, in a file of its own for its compiler flags.
#pragma once

#include "kernels/kernels.h"

namespace tern {

/// Kernels::matmul for BF16 weights. y[t][r] is the chain over pairs of columns of the instruction VDPBF16PS,
/// which rounds each pair's sums in float and takes denormals for zero.
void avx512_bf16_matmul(const PackedMatrix& w, const ActivationRows& x, float* y, size_t ldy,
                        size_t panel_begin, size_t panel_end, bool accumulate);

}  // namespace tern
