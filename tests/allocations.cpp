#include "tests/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> count{0}, largest{0};

}  // namespace

// Replaces the program's operator new, all forms that one operator delete frees. The array forms come through
// here too, except under sanitizers, which have their own pair.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  ++count;
  size_t seen = largest.load();
  while (size > seen && !largest.compare_exchange_weak(seen, size)) {
  }
  return std::malloc(size ? size : 1);
}

void* operator new(size_t size) {
  if (void* memory = operator new(size, std::nothrow)) return memory;
  throw std::bad_alloc();
}

void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}

namespace tern {

void watch_allocations() {
  count = 0;
  largest = 0;
}

Allocations allocations() {
  return {count, largest};
}

}  // namespace tern
