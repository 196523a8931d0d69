// How much this test program asks of the allocator at once.
#pragma once

#include <cstddef>

namespace tern {

/// Forgets what was asked before.
void watch_allocations();
/// The largest single operator new since then, in bytes, of any thread.
size_t largest_allocation();

}  // namespace tern
