// The search for Q2_K, Q4_K and Q5_K blocks: w = scale * q - min, neither negative.
#pragma once

#include "quant/kquants_rounding.h"

namespace tern::codecs {

// Weights as scale * q - min.
struct Fit {
  float scale = 0, min = 0;
};

// The fit of least squared error to weights whose quants are given by their sums, and by how much it beats
// zeros.
struct AffineSums {
  float n, x, q, qq, qx;
};

struct Scored {
  Fit fit;
  float gain = 0;
};

inline Scored solve(const AffineSums& s) {
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

inline uint8_t clamped_ratio(float value, float unit, int most) {
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
  d = rounded_half(fitted.scale);
  dmin = rounded_half(fitted.min);
  const AffineChoice<Subs> again = choose_affine<N>(x, fits, d, dmin, limit, most);
  return again.error < best.error ? again : best;
}

// The quants of a whole block, by columns.
template <size_t N, size_t Subs>
void all_quants(const float* from, const AffineChoice<Subs>& choice, float most, uint8_t* q) {
  for (size_t sub = 0; sub < Subs; ++sub) {
    const ScaleMin s = choice.subs[sub];
    affine_quants<N>(from + sub * N, choice.d * s.scale, choice.dmin * s.min, most, q + sub * N);
  }
}

}  // namespace tern::codecs
