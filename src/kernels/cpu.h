// Which instructions this processor has and the operating system lets us use.
#pragma once

#include <cstdint>

namespace tern {

/// The registers that tell: CPUID leaves 1, 7.0 and 7.1, and XCR0 (zero where OSXSAVE is off).
struct CpuRegisters {
  uint32_t leaf1_ecx = 0;
  uint32_t leaf7_ebx = 0, leaf7_ecx = 0;
  uint32_t leaf7_1_eax = 0;
  uint64_t xcr0 = 0;
};

/// What the kernels ask for: each flag is true only where the processor has all its parts and the system
/// saves its registers.
struct CpuFeatures {
  bool avx2 = false;         ///< AVX2, FMA, F16C
  bool avx512 = false;       ///< F, BW, DQ, VL, VNNI
  bool avx512_bf16 = false;  ///< avx512 and BF16
};

/// All zero on processors other than x86-64.
CpuRegisters read_cpu_registers();
CpuFeatures cpu_features(const CpuRegisters& registers);

}  // namespace tern
