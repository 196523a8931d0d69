#include "tests/files/allocations.h"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<size_t> largest{0};

}  // namespace

// Replaces the program's operator new, all forms that one operator delete frees. The array forms come through
// here too, except under sanitizers, which have their own pair.
void* operator new(size_t size, const std::nothrow_t&) noexcept {
  size_t seen = largest.load();
  while (size > seen && !largest.compare_exchange_weak(seen, size)) {
  }
  return std::malloc(size);
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
  largest = 0;
}
size_t largest_allocation() {
  return largest;
}

}  // namespace tern
