// What a test program asks of the allocator.
#pragma once

#include <cstddef>

namespace tern {

struct Allocations {
  size_t count = 0;
  size_t largest = 0;  ///< bytes asked for at once
};

/// Forgets what was asked before.
void watch_allocations();
/// Every operator new since then, of any thread.
Allocations allocations();

}  // namespace tern
