// exp(x) = 2^n e^r, n = round(x log2 e), r = x - n ln 2 in [-0.347, 0.347], e^r = 1 + r + r^2 p(r); the
// polynomial is that of the Cephes library's expf (Moshier). Every instruction set takes the same steps, so
// all give the same bits: three constants for the reduction, fused multiply-adds for r and p, 2^n in two
// factors since n may be 128.
#pragma once

namespace tern::exp_constants {

constexpr float lowest = -87.33f;       ///< below, exp(x) is (nearly) denormal and given as 0
constexpr float highest = 88.7228394f;  ///< above, exp(x) is infinite
constexpr float log2_e = 1.44269504f;
constexpr float minus_ln2_high = -0.693359375f;  ///< few bits: n times it is exact
constexpr float minus_ln2_low = 2.12194440e-4f;
constexpr float polynomial[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};

}  // namespace tern::exp_constants
