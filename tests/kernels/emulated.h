// The AVX-512 tables compiled against SIMDe, so that their text runs on machines without AVX-512.
#pragma once

#include "kernels/kernels.h"

#if defined(TERN_EMULATED_AVX512)

namespace tern {

extern const Kernels emulated_avx512_kernels;
extern const Kernels emulated_avx512_bf16_kernels;

}  // namespace tern

#endif
