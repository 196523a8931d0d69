// The AVX2 table: the generic text over two registers a panel. Everything here has internal linkage and
// nothing calls an inline function of a header, so that no copy compiled for AVX2 can stand in for one
// compiled for every machine.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/exp_constants.h"
#include "kernels/layout.h"
#include "kernels/tables.h"
#include "quant/values.h"

namespace tern {
namespace {

// clang-format off
#include "kernels/avx2/bytes.h"
#include "kernels/avx2/simd.h"
#include "kernels/generic/matmul.h"
#include "kernels/generic/formats.h"
#include "kernels/generic/blocks.h"
#include "kernels/generic/products.h"
#include "kernels/generic/quantize.h"
#include "kernels/generic/vectors.h"
#include "kernels/generic/table.h"
// clang-format on

}  // namespace

constinit const Kernels avx2_kernels = {Isa::avx2,   matmul, quantize_q8, rms_norm, silu_mul,
                                        exp_shifted, max,    axpy,        scale,    spin_products};

}  // namespace tern
