// Counts what this test program takes from the heap with operator new.
#pragma once

namespace tern {

long allocations();

}  // namespace tern
