#include "kernels/cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace tern {
namespace {

constexpr bool has(uint64_t value, uint64_t bits) {
  return (value & bits) == bits;
}
constexpr uint32_t bit(int n) {
  return 1u << n;
}

// Intel's manual, volume 2, CPUID; volume 1, 13.3 for XCR0.
constexpr uint32_t osxsave = bit(27);
constexpr uint32_t leaf1_avx2 = bit(12) | bit(28) | bit(29) | osxsave;  // FMA, AVX, F16C
constexpr uint32_t leaf7_avx2 = bit(5);
constexpr uint32_t leaf7_avx512 = bit(16) | bit(17) | bit(30) | bit(31);  // F, DQ, BW, VL
constexpr uint32_t leaf7_vnni = bit(11);                                  // in ecx
constexpr uint32_t leaf7_1_bf16 = bit(5);                                 // in eax
constexpr uint64_t saves_ymm = 0x6;                                       // SSE and AVX state
constexpr uint64_t saves_zmm = 0xe6;                                      // and opmask, ZMM_Hi256, Hi16_ZMM

}  // namespace

#if defined(__x86_64__)

CpuRegisters read_cpu_registers() {
  CpuRegisters result;
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) result.leaf1_ecx = ecx;
  if (has(result.leaf1_ecx, osxsave)) {
    uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    result.xcr0 = (static_cast<uint64_t>(high) << 32) | low;
  }
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
    result.leaf7_ebx = ebx;
    result.leaf7_ecx = ecx;
    const uint32_t last_subleaf = eax;
    if (last_subleaf >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx)) result.leaf7_1_eax = eax;
  }
  return result;
}

#else

CpuRegisters read_cpu_registers() {
  return {};
}

#endif

CpuFeatures cpu_features(const CpuRegisters& r) {
  CpuFeatures result;
  result.avx2 = has(r.leaf1_ecx, leaf1_avx2) && has(r.leaf7_ebx, leaf7_avx2) && has(r.xcr0, saves_ymm);
  result.avx512 =
      result.avx2 && has(r.leaf7_ebx, leaf7_avx512) && has(r.leaf7_ecx, leaf7_vnni) && has(r.xcr0, saves_zmm);
  result.avx512_bf16 = result.avx512 && has(r.leaf7_1_eax, leaf7_1_bf16);
  return result;
}

}  // namespace tern
