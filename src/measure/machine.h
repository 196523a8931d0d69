// What this machine can at most: how fast it reads memory, which is what a decode step waits for, and how
// many integer products it makes, which is what a prompt waits for.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace tern {

/// Bytes a second that `threads` threads together read out of memory far larger than the caches; about
/// `seconds` are spent on it. 0 where the memory for it is not to be had.
double measure_read_bandwidth(int threads, double seconds = 0.3);

/// Operations a second (a multiply-add is two) of the matrix products' 8-bit integers, by `threads` threads
/// on registers alone.
double measure_int8_peak(const Kernels& kernels, int threads, double seconds = 0.3);

/// Both.
struct MachineLimits {
  int threads = 0;
  Isa isa = Isa::scalar;
  double read_bytes_s = 0;
  double int8_ops_s = 0;
};
MachineLimits measure_machine(Isa isa, int threads, double seconds = 0.3);

}  // namespace tern
