// The compiler's intrinsics, or, in a test's build of these files, functions of the same names that emulate
// them.
#pragma once

#if defined(TERN_EMULATED_INTRINSICS)
#include TERN_EMULATED_INTRINSICS
#else
#include <immintrin.h>
#endif
