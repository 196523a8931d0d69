// How fast this machine reads memory, which is what a decode step waits for.
#pragma once

#include <cstdint>

namespace tern {

/// Bytes a second that `threads` threads together read out of memory far larger than the caches; about
/// `seconds` are spent on it. 0 where the memory for it is not to be had.
double measure_read_bandwidth(int threads, double seconds = 0.3);

}  // namespace tern
