// What must hold for every input: a fuzz target that finds otherwise stops as a crash does.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace tern {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken: %s\n", what);
  std::abort();
}

}  // namespace tern
