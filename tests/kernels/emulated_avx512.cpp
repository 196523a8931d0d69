// The very text of the AVX-512 files, compiled against emulated intrinsics and under other names. Built with
// AVX2 flags (tests/kernels/room.cmake).
#define TERN_EMULATED_INTRINSICS "tests/kernels/simde_avx512.h"
#define avx512_kernels emulated_avx512_kernels
#define avx512_bf16_kernels emulated_avx512_bf16_kernels
#define avx512_bf16_matmul emulated_avx512_bf16_matmul

#include "kernels/avx512/avx512.cpp"
