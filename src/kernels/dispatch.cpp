#include "base/error.h"
#include "kernels/cpu.h"
#include "kernels/kernels.h"
#include "kernels/tables.h"

namespace tern {
namespace {

const CpuFeatures& features() {
  static const CpuFeatures found = cpu_features(read_cpu_registers());
  return found;
}

// Nothing where this build has no such table.
const Kernels* table(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return &scalar_kernels;
#if defined(__x86_64__)
    case Isa::avx2:
      return &avx2_kernels;
    case Isa::avx512:
      return &avx512_kernels;
    case Isa::avx512_bf16:
      return &avx512_bf16_kernels;
#endif
    default:
      return nullptr;
  }
}

bool machine_has(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return true;
    case Isa::avx2:
      return features().avx2;
    case Isa::avx512:
      return features().avx512;
    case Isa::avx512_bf16:
      return features().avx512_bf16;
  }
  return false;
}

}  // namespace

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::scalar:
      return "scalar";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_bf16:
      return "avx512_bf16";
  }
  return "unknown";
}

bool isa_available(Isa isa) {
  return table(isa) != nullptr && machine_has(isa);
}

Isa detect_isa() {
  Isa best = Isa::scalar;
  for (const Isa isa : kAllIsas) {
    if (isa_available(isa)) best = isa;
  }
  return best;
}

const Kernels& kernels(Isa isa) {
  if (!isa_available(isa)) {
    fail(ErrorKind::unsupported, "this machine does not run {}; its best instruction set is {}",
         isa_name(isa), isa_name(detect_isa()));
  }
  return *table(isa);
}

Isa parse_isa(std::string_view name) {
  for (const Isa isa : kAllIsas) {
    if (isa_name(isa) == name) return isa;
  }
  fail(ErrorKind::bad_input, "unknown instruction set \"{}\": expected scalar, avx2, avx512 or avx512_bf16",
       name);
}

}  // namespace tern
