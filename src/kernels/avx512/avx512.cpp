// The AVX-512 tables: the generic text over one register a panel. Everything here has internal linkage and
// nothing calls an inline function of a header, so that no copy compiled for AVX-512 can stand in for one
// compiled for every machine.
#include <cstddef>
#include <cstdint>

#include "kernels/avx512/bf16.h"
#include "kernels/avx512/intrinsics.h"
#include "kernels/exp_constants.h"
#include "kernels/layout.h"
#include "kernels/tables.h"
#include "quant/values.h"

namespace tern {
namespace {

// clang-format off
#include "kernels/avx2/bytes.h"
#include "kernels/avx512/simd.h"
#include "kernels/generic/matmul.h"
#include "kernels/generic/formats.h"
#include "kernels/generic/blocks.h"
#include "kernels/generic/products.h"
#include "kernels/generic/quantize.h"
#include "kernels/generic/vectors.h"
#include "kernels/generic/table.h"
// clang-format on

void matmul_with_bf16(const PackedMatrix& w, const ActivationRows& x, float* y, size_t ldy,
                      size_t panel_begin, size_t panel_end, bool accumulate) {
  if (w.type == DType::bf16) return avx512_bf16_matmul(w, x, y, ldy, panel_begin, panel_end, accumulate);
  matmul(w, x, y, ldy, panel_begin, panel_end, accumulate);
}

}  // namespace

constinit const Kernels avx512_kernels = {Isa::avx512, matmul, quantize_q8, rms_norm, silu_mul,
                                          exp_shifted, max,    axpy,        scale,    spin_products};

constinit const Kernels avx512_bf16_kernels = {
    Isa::avx512_bf16, matmul_with_bf16, quantize_q8, rms_norm, silu_mul, exp_shifted, max, axpy, scale,
    spin_products};

}  // namespace tern
