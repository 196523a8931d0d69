// As emulated_avx512.cpp, the other file.
#define TERN_EMULATED_INTRINSICS "tests/kernels/simde_avx512.h"
#define avx512_bf16_matmul emulated_avx512_bf16_matmul

#include "kernels/avx512/avx512_bf16.cpp"
