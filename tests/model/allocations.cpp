#include "tests/model/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {
std::atomic<long> taken{0};
}

// Replaces the plain forms; the standard library's array and nothrow forms end here too.
void* operator new(std::size_t size) {
  ++taken;
  if (void* block = std::malloc(size ? size : 1)) return block;
  throw std::bad_alloc();
}
void operator delete(void* block) noexcept {
  std::free(block);
}
void operator delete(void* block, std::size_t) noexcept {
  std::free(block);
}

namespace tern {

long allocations() {
  return taken;
}

}  // namespace tern
