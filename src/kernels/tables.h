// The tables that dispatch.cpp chooses from; each is a constant in its instruction set's file.
#pragma once

#include "kernels/kernels.h"

namespace tern {

extern const Kernels scalar_kernels;
extern const Kernels avx2_kernels;
extern const Kernels avx512_kernels;
extern const Kernels avx512_bf16_kernels;

}  // namespace tern
