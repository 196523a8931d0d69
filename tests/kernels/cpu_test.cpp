#include "kernels/cpu.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/error.h"
#include "kernels/kernels.h"

namespace tern {
namespace {

// A processor that has everything.
CpuRegisters everything() {
  CpuRegisters r;
  r.leaf1_ecx = r.leaf7_ebx = r.leaf7_ecx = r.leaf7_1_eax = ~0u;
  r.xcr0 = 0xe7;
  return r;
}

TEST(Cpu, NothingOrEverything) {
  EXPECT_FALSE(cpu_features(CpuRegisters{}).avx2);
  const CpuFeatures all = cpu_features(everything());
  EXPECT_TRUE(all.avx2);
  EXPECT_TRUE(all.avx512);
  EXPECT_TRUE(all.avx512_bf16);
}

TEST(Cpu, EachPartIsNeeded) {
  for (const int bit : {12, 27, 28, 29}) {  // FMA, OSXSAVE, AVX, F16C
    CpuRegisters r = everything();
    r.leaf1_ecx &= ~(1u << bit);
    EXPECT_FALSE(cpu_features(r).avx2) << bit;
    EXPECT_FALSE(cpu_features(r).avx512) << bit;
  }
  for (const int bit : {16, 17, 30, 31}) {  // AVX-512 F, DQ, BW, VL
    CpuRegisters r = everything();
    r.leaf7_ebx &= ~(1u << bit);
    EXPECT_TRUE(cpu_features(r).avx2) << bit;
    EXPECT_FALSE(cpu_features(r).avx512) << bit;
  }
  CpuRegisters r = everything();
  r.leaf7_ebx &= ~(1u << 5);  // AVX2
  EXPECT_FALSE(cpu_features(r).avx2);
  r = everything();
  r.leaf7_ecx &= ~(1u << 11);  // VNNI
  EXPECT_FALSE(cpu_features(r).avx512);
  r = everything();
  r.leaf7_1_eax &= ~(1u << 5);  // BF16
  EXPECT_TRUE(cpu_features(r).avx512);
  EXPECT_FALSE(cpu_features(r).avx512_bf16);
}

TEST(Cpu, RegistersTheSystemDoesNotSaveAreNotUsed) {
  CpuRegisters r = everything();
  r.xcr0 = 0x7;
  EXPECT_TRUE(cpu_features(r).avx2);
  EXPECT_FALSE(cpu_features(r).avx512);
  r.xcr0 = 0x3;
  EXPECT_FALSE(cpu_features(r).avx2);
}

// Linux read the same registers.
TEST(Cpu, AgreesWithTheKernel) {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line) && line.rfind("flags", 0) != 0) continue;
  if (line.empty()) GTEST_SKIP() << "no flags in /proc/cpuinfo";
  line += ' ';
  const auto has = [&](const char* flag) {
    return line.find(" " + std::string(flag) + " ") != std::string::npos;
  };
  EXPECT_EQ(isa_available(Isa::avx2), has("avx2") && has("fma") && has("f16c"));
  EXPECT_EQ(isa_available(Isa::avx512), has("avx512f") && has("avx512bw") && has("avx512dq") &&
                                            has("avx512vl") && has("avx512_vnni") && has("avx2") &&
                                            has("fma") && has("f16c"));
  EXPECT_EQ(isa_available(Isa::avx512_bf16), isa_available(Isa::avx512) && has("avx512_bf16"));
}

TEST(Isa, NamesAndTables) {
  for (const Isa isa : kAllIsas) {
    EXPECT_EQ(parse_isa(isa_name(isa)), isa);
    if (isa_available(isa)) {
      EXPECT_EQ(kernels(isa).isa, isa);
    } else {
      EXPECT_THROW(kernels(isa), Error);
    }
  }
  EXPECT_TRUE(isa_available(Isa::scalar));
  EXPECT_TRUE(isa_available(detect_isa()));
  EXPECT_THROW(parse_isa("AVX2"), Error);
  EXPECT_THROW(parse_isa(""), Error);
}

}  // namespace
}  // namespace tern
