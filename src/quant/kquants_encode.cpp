// Encoding to Q2_K .. Q6_K. The formats say what a block means, not how to choose it: here each sub-block
// gets the scale (and min) of least squared error over a few ways of rounding; then these are rounded to the
// small integers that the block can hold, trying their neighbours, with the quants chosen anew for what they
// really became; and last the block's own scale is fitted to all its integers and all is rounded once more.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "quant/codecs.h"

namespace tern::codecs {
namespace {

// Below this a sub-block is flat: F16 scales cannot tell its weights apart (the least is 2^-24), and squares
// stay normal floats above it.
constexpr float flat = 0x1p-40f;
// Above this no K format holds a weight (Q6_K: 65504 * 128 * 32), and squares stay finite below it.
constexpr float too_large = 3e8f;

// n weights of a sub-block as scale * q - min or scale * (q - half).
struct Fit {
  float scale = 0, min = 0;
};

// To the nearest of 0 .. most, half up.
inline float nearest(float v, float most) {
  return static_cast<float>(static_cast<int>(std::min(std::max(v, 0.0f), most) + 0.5f));
}

// ---- Q2_K, Q4_K, Q5_K: scale * q - min, neither negative ----

// The fit of least squared error to weights whose quants are given by their sums, and by how much it beats
// zeros.
struct AffineSums {
  float n, x, q, qq, qx;
};

struct Scored {
  Fit fit;
  float gain = 0;
};

Scored solve(const AffineSums& s) {
  const float determinant = s.n * s.qq - s.q * s.q;
  if (determinant > 0) {
    const float scale = (s.n * s.qx - s.q * s.x) / determinant;
    const float offset = (s.qq * s.x - s.q * s.qx) / determinant;
    if (offset <= 0 && scale >= 0) return {{scale, -offset}, scale * s.qx + offset * s.x};
  }
  if (s.qq <= 0 || s.qx <= 0) return {};
  return {{s.qx / s.qq, 0}, s.qx * s.qx / s.qq};
}

template <size_t N>
AffineSums sums_of(const float* x, float inverse, float min, float most) {
  AffineSums s = {static_cast<float>(N), 0, 0, 0, 0};
  for (size_t i = 0; i < N; ++i) {
    const float q = nearest((x[i] + min) * inverse, most);
    s.x += x[i];
    s.q += q;
    s.qq += q * q;
    s.qx += q * x[i];
  }
  return s;
}

template <size_t N>
Fit fit_affine(const float* x, float most) {
  const auto [least, greatest] = std::minmax_element(x, x + N);
  const float min = std::max(-*least, 0.0f), range = *greatest + min;
  if (range < flat) return {0, min};
  constexpr int steps = 8;
  Scored best;
  for (int step = -steps; step <= steps; ++step) {
    const float inverse = (most + 0.1f * static_cast<float>(step)) / range;
    const Scored found = solve(sums_of<N>(x, inverse, min, most));
    if (found.gain > best.gain) best = found;
  }
  return best.fit;
}

template <size_t N>
float affine_error(const float* x, float scale, float min, float most) {
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  float error = 0;
  for (size_t i = 0; i < N; ++i) {
    const float difference = x[i] - (nearest((x[i] + min) * inverse, most) * scale - min);
    error += difference * difference;
  }
  return error;
}

// A block's scales in F16, as floats, and its sub-blocks' integers.
template <size_t Subs>
struct AffineChoice {
  float d = 0, dmin = 0;
  ScaleMin subs[Subs] = {};
  float error = 0;
};

float rounded_half(DType type, const char* field, float value) {
  return f16_to_f32(half_or_fail(type, field, value));
}

// A block's scale that must reach the greatest weight: among the coarse denormals rounded away from zero.
float reaching_half(DType type, const char* field, float value) {
  const uint16_t bits = half_or_fail(type, field, value);
  const bool denormal = (bits & 0x7c00) == 0;
  const bool short_of = std::fabs(f16_to_f32(bits)) < std::fabs(value) && std::fabs(value) > 0x1p-26f;
  return f16_to_f32(denormal && short_of ? static_cast<uint16_t>(bits + 1) : bits);
}

uint8_t clamped_ratio(float value, float unit, int most) {
  if (unit <= 0) return 0;
  return static_cast<uint8_t>(nearest(value / unit, static_cast<float>(most)));
}

// The best of the integers beside `wanted`; returns its error.
template <size_t N>
float choose_scale_min(const float* x, const Fit& wanted, float d, float dmin, int limit, float most,
                       ScaleMin& chosen) {
  const int scale = clamped_ratio(wanted.scale, d, limit), min = clamped_ratio(wanted.min, dmin, limit);
  float best = -1;
  for (int s = std::max(scale - 1, 0); s <= std::min(scale + 1, limit); ++s) {
    for (int m = std::max(min - 1, 0); m <= std::min(min + 1, limit); ++m) {
      const float error = affine_error<N>(x, d * static_cast<float>(s), dmin * static_cast<float>(m), most);
      if (best >= 0 && error >= best) continue;
      best = error;
      chosen = {static_cast<uint8_t>(s), static_cast<uint8_t>(m)};
    }
  }
  return best;
}

template <size_t N, size_t Subs>
AffineChoice<Subs> choose_affine(const float* x, const Fit (&fits)[Subs], float d, float dmin, int limit,
                                 float most) {
  AffineChoice<Subs> choice = {d, dmin};
  for (size_t sub = 0; sub < Subs; ++sub) {
    choice.error += choose_scale_min<N>(x + sub * N, fits[sub], d, dmin, limit, most, choice.subs[sub]);
  }
  return choice;
}

template <size_t N>
void affine_quants(const float* x, float scale, float min, float most, uint8_t* q) {
  const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
  for (size_t i = 0; i < N; ++i) q[i] = static_cast<uint8_t>(nearest((x[i] + min) * inverse, most));
}

// The d and dmin of least squared error to what the integers stand for: w = d (scale q) - dmin min.
template <size_t N, size_t Subs>
Fit refit(const float* x, const AffineChoice<Subs>& choice, float most) {
  double aa = 0, ab = 0, bb = 0, ax = 0, bx = 0;
  for (size_t sub = 0; sub < Subs; ++sub) {
    const float scale = choice.subs[sub].scale, min = choice.subs[sub].min;
    uint8_t q[N];
    affine_quants<N>(x + sub * N, choice.d * scale, choice.dmin * min, most, q);
    float sum_q = 0, sum_qq = 0, sum_qx = 0, sum_x = 0;
    for (size_t i = 0; i < N; ++i) {
      const float v = x[sub * N + i];
      sum_q += q[i];
      sum_qq += static_cast<float>(q[i] * q[i]);
      sum_qx += q[i] * v;
      sum_x += v;
    }
    aa += static_cast<double>(scale * scale * sum_qq);
    ab += static_cast<double>(scale * min * sum_q);
    bb += static_cast<double>(min * min * static_cast<float>(N));
    ax += static_cast<double>(scale * sum_qx);
    bx += static_cast<double>(min * sum_x);
  }
  const double determinant = aa * bb - ab * ab;
  if (bb == 0) return {static_cast<float>(aa > 0 ? ax / aa : 0), 0};
  if (determinant <= 0) return {choice.d, choice.dmin};
  const Fit fit = {static_cast<float>((ax * bb - bx * ab) / determinant),
                   static_cast<float>((ax * ab - bx * aa) / determinant)};
  return fit.scale > 0 && fit.min > 0 ? fit : Fit{choice.d, choice.dmin};
}

template <size_t N, size_t Subs>
AffineChoice<Subs> search_affine(DType type, const float* x, int limit, float most) {
  Fit fits[Subs];
  Fit greatest;
  for (size_t sub = 0; sub < Subs; ++sub) {
    fits[sub] = fit_affine<N>(x + sub * N, most);
    greatest.scale = std::max(greatest.scale, fits[sub].scale);
    greatest.min = std::max(greatest.min, fits[sub].min);
  }
  const float unit = static_cast<float>(limit);
  float d = reaching_half(type, "scale", greatest.scale / unit);
  float dmin = reaching_half(type, "min", greatest.min / unit);
  AffineChoice<Subs> best = choose_affine<N>(x, fits, d, dmin, limit, most);
  const Fit fitted = refit<N>(x, best, most);
  d = rounded_half(type, "scale", fitted.scale);
  dmin = rounded_half(type, "min", fitted.min);
  const AffineChoice<Subs> again = choose_affine<N>(x, fits, d, dmin, limit, most);
  return again.error < best.error ? again : best;
}

// ---- Q3_K, Q6_K: scale * (q - half), either sign ----

template <size_t N>
float fit_symmetric(const float* x, float half) {
  float extreme = 0;
  for (size_t i = 0; i < N; ++i) {
    if (std::fabs(x[i]) > std::fabs(extreme)) extreme = x[i];
  }
  if (std::fabs(extreme) < flat) return 0;
  constexpr int steps = 9;
  float best = 0, best_gain = 0;
  for (int step = -steps; step <= steps; ++step) {
    const float inverse = -(half + 0.1f * static_cast<float>(step)) / extreme;
    float qq = 0, qx = 0;
    for (size_t i = 0; i < N; ++i) {
      const float q = nearest(x[i] * inverse + half, 2 * half - 1) - half;
      qq += q * q;
      qx += q * x[i];
    }
    if (qq > 0 && qx * qx > best_gain * qq) {
      best_gain = qx * qx / qq;
      best = qx / qq;
    }
  }
  return best;
}

template <size_t N>
float symmetric_error(const float* x, float scale, float half) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  float error = 0;
  for (size_t i = 0; i < N; ++i) {
    const float difference = x[i] - (nearest(x[i] * inverse + half, 2 * half - 1) - half) * scale;
    error += difference * difference;
  }
  return error;
}

template <size_t Subs>
struct SymmetricChoice {
  float d = 0;
  int scales[Subs] = {};  // -limit .. limit - 1
  float error = 0;
};

template <size_t N, size_t Subs>
SymmetricChoice<Subs> choose_symmetric(const float* x, const float (&fits)[Subs], float d, int limit,
                                       float half) {
  SymmetricChoice<Subs> choice = {d};
  for (size_t sub = 0; sub < Subs; ++sub) {
    const float wanted = d != 0 ? fits[sub] / d : 0.0f;
    const float in_reach =
        std::min(std::max(wanted, static_cast<float>(-limit)), static_cast<float>(limit - 1));
    const int scale = static_cast<int>(std::floor(in_reach + 0.5f));
    float best = -1;
    for (int s = std::max(scale - 1, -limit); s <= std::min(scale + 1, limit - 1); ++s) {
      const float error = symmetric_error<N>(x + sub * N, d * static_cast<float>(s), half);
      if (best >= 0 && error >= best) continue;
      best = error;
      choice.scales[sub] = s;
    }
    choice.error += best;
  }
  return choice;
}

template <size_t N>
void symmetric_quants(const float* x, float scale, float half, uint8_t* q) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  for (size_t i = 0; i < N; ++i) q[i] = static_cast<uint8_t>(nearest(x[i] * inverse + half, 2 * half - 1));
}

template <size_t N, size_t Subs>
float refit(const float* x, const SymmetricChoice<Subs>& choice, float half) {
  double aa = 0, ax = 0;
  for (size_t sub = 0; sub < Subs; ++sub) {
    const float scale = static_cast<float>(choice.scales[sub]);
    uint8_t q[N];
    symmetric_quants<N>(x + sub * N, choice.d * scale, half, q);
    for (size_t i = 0; i < N; ++i) {
      const float a = scale * (static_cast<float>(q[i]) - half);
      aa += static_cast<double>(a * a);
      ax += static_cast<double>(a * x[sub * N + i]);
    }
  }
  return aa > 0 ? static_cast<float>(ax / aa) : choice.d;
}

template <size_t N, size_t Subs>
SymmetricChoice<Subs> search_symmetric(DType type, const float* x, int limit, float half) {
  float fits[Subs];
  float greatest = 0;
  for (size_t sub = 0; sub < Subs; ++sub) {
    fits[sub] = fit_symmetric<N>(x + sub * N, half);
    if (std::fabs(fits[sub]) > std::fabs(greatest)) greatest = fits[sub];
  }
  // The greatest becomes -limit, which has no positive counterpart.
  const float d = reaching_half(type, "scale", greatest / static_cast<float>(-limit));
  const SymmetricChoice<Subs> best = choose_symmetric<N>(x, fits, d, limit, half);
  const float fitted = rounded_half(type, "scale", refit<N>(x, best, half));
  const SymmetricChoice<Subs> again = choose_symmetric<N>(x, fits, fitted, limit, half);
  return again.error < best.error ? again : best;
}

// ---- the formats ----

void check_range(DType type, const float* from) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    if (std::fabs(from[i]) > too_large) {
      fail(ErrorKind::bad_input, "{}: cannot encode {}: its scale does not fit F16", traits(type).name,
           from[i]);
    }
  }
}

// The quants of a whole block, by columns.
template <size_t N, size_t Subs>
void all_quants(const float* from, const AffineChoice<Subs>& choice, float most, uint8_t* q) {
  for (size_t sub = 0; sub < Subs; ++sub) {
    const ScaleMin s = choice.subs[sub];
    affine_quants<N>(from + sub * N, choice.d * s.scale, choice.dmin * s.min, most, q + sub * N);
  }
}
template <size_t N, size_t Subs>
void all_quants(const float* from, const SymmetricChoice<Subs>& choice, float half, uint8_t* q) {
  for (size_t sub = 0; sub < Subs; ++sub) {
    symmetric_quants<N>(from + sub * N, choice.d * static_cast<float>(choice.scales[sub]), half, q + sub * N);
  }
}

// Where quants() reads them.
void store_twos(const uint8_t* q, uint8_t (&qs)[64]) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    qs[i / 128 * 32 + i % 32] |= static_cast<uint8_t>((q[i] & 3) << (i / 32 % 4 * 2));
  }
}
void store_fours(const uint8_t* q, uint8_t (&qs)[128]) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    qs[i / 64 * 32 + i % 32] |= static_cast<uint8_t>((q[i] & 15) << (i / 32 % 2 * 4));
  }
}
void store_ones(const uint8_t* q, int bit, uint8_t (&qh)[32]) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    qh[i % 32] |= static_cast<uint8_t>((q[i] >> bit & 1) << (i / 32));
  }
}

// Q4_K and Q5_K but for the quants.
template <typename Block>
void search_scale_min(const float* from, float most, Block& block, uint8_t* q) {
  check_range(Block::type, from);
  const auto choice = search_affine<32, 8>(Block::type, from, 63, most);
  block = {};
  block.d = f32_to_f16(choice.d);
  block.dmin = f32_to_f16(choice.dmin);
  for (size_t sub = 0; sub < 8; ++sub) set_scale_min(block.scales, sub, choice.subs[sub]);
  all_quants<32>(from, choice, most, q);
}

}  // namespace

void encode(const float* from, BlockQ2_K& block) {
  check_range(DType::q2_k, from);
  const auto choice = search_affine<16, 16>(DType::q2_k, from, 15, 3);
  uint8_t q[kSuperBlock];
  all_quants<16>(from, choice, 3, q);
  block = {};
  block.d = f32_to_f16(choice.d);
  block.dmin = f32_to_f16(choice.dmin);
  for (size_t sub = 0; sub < 16; ++sub) {
    block.scales[sub] = static_cast<uint8_t>(choice.subs[sub].scale | choice.subs[sub].min << 4);
  }
  store_twos(q, block.qs);
}

void encode(const float* from, BlockQ3_K& block) {
  check_range(DType::q3_k, from);
  const auto choice = search_symmetric<16, 16>(DType::q3_k, from, 32, 4);
  uint8_t q[kSuperBlock];
  all_quants<16>(from, choice, 4, q);
  block = {};
  block.d = f32_to_f16(choice.d);
  for (size_t sub = 0; sub < 16; ++sub) {
    set_stored_scale(block, sub, static_cast<uint8_t>(choice.scales[sub] + 32));
  }
  store_twos(q, block.qs);
  store_ones(q, 2, block.hmask);
}

void encode(const float* from, BlockQ4_K& block) {
  uint8_t q[kSuperBlock];
  search_scale_min(from, 15, block, q);
  store_fours(q, block.qs);
}

void encode(const float* from, BlockQ5_K& block) {
  uint8_t q[kSuperBlock];
  search_scale_min(from, 31, block, q);
  store_fours(q, block.qs);
  store_ones(q, 4, block.qh);
}

void encode(const float* from, BlockQ6_K& block) {
  check_range(DType::q6_k, from);
  const auto choice = search_symmetric<16, 16>(DType::q6_k, from, 128, 32);
  uint8_t q[kSuperBlock];
  all_quants<16>(from, choice, 32, q);
  block = {};
  block.d = f32_to_f16(choice.d);
  for (size_t sub = 0; sub < 16; ++sub) block.scales[sub] = static_cast<int8_t>(choice.scales[sub]);
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const size_t half = i / 128, quarter = i / 32 % 4, column = i % 32;
    block.ql[half * 64 + quarter % 2 * 32 + column] |= static_cast<uint8_t>((q[i] & 15) << (quarter / 2 * 4));
    block.qh[half * 32 + column] |= static_cast<uint8_t>(q[i] >> 4 << (quarter * 2));
  }
}

}  // namespace tern::codecs
