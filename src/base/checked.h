// Arithmetic on untrusted sizes: every overflow is an Error, never a small number.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/error.h"

namespace tern {

/// a * b; throws Error{limit} naming `what` on overflow.
inline uint64_t checked_mul(uint64_t a, uint64_t b, const char* what) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) fail(ErrorKind::limit, "{}: {} x {} overflows", what, a, b);
  return product;
}

/// a + b; throws Error{limit} naming `what` on overflow.
inline uint64_t checked_add(uint64_t a, uint64_t b, const char* what) {
  uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) fail(ErrorKind::limit, "{}: {} + {} overflows", what, a, b);
  return sum;
}

/// `value` rounded up to a multiple of `to` (any positive number); throws Error{limit} on overflow.
inline uint64_t round_up(uint64_t value, uint64_t to) {
  return checked_add(value, to - 1, "rounding up") / to * to;
}

}  // namespace tern
