// What is done to one vector of activations or scores, for every instruction set. Included inside an
// instruction set's own namespace, after its simd.h. Element i is in lane i % 16, so sums come out the same
// everywhere.

// Calls whole(i) for each whole 16 elements, then rest(i, n) for the n < 16 left.
template <typename Whole, typename Rest>
TERN_INLINE void for_lanes(size_t n, const Whole& whole, const Rest& rest) {
  size_t i = 0;
  for (; i + 16 <= n; i += 16) whole(i);
  if (i < n) rest(i, n - i);
}

TERN_INLINE Floats exp_of(Floats x) {
  namespace c = exp_constants;
  const Floats n = round_to_even(multiply(x, broadcast(c::log2_e)));
  const Floats r = fused(n, broadcast(c::minus_ln2_low), fused(n, broadcast(c::minus_ln2_high), x));
  Floats p = broadcast(c::polynomial[0]);
  for (size_t i = 1; i < sizeof(c::polynomial) / sizeof(float); ++i)
    p = fused(p, r, broadcast(c::polynomial[i]));
  const Floats e = add(fused(p, multiply(r, r), r), broadcast(1.0f));
  const Ints whole = to_ints(n), half = halve(whole);
  const Floats scaled = multiply(multiply(e, power_of_two(half)), power_of_two(subtract(whole, half)));
  const Floats not_low = where_less(x, broadcast(c::lowest), zero(), scaled);
  return where_less(broadcast(c::highest), x, broadcast(__builtin_inff()), not_low);
}

TERN_INLINE Floats silu_times(Floats gate, Floats up) {
  return multiply(divide(gate, add(broadcast(1.0f), exp_of(negate(gate)))), up);
}

void rms_norm(const float* x, const float* weight, float eps, size_t n, float* y) {
  Floats squares = zero();
  for_lanes(
      n, [&](size_t i) { squares = fused(load(x + i), load(x + i), squares); },
      [&](size_t i, size_t rest) {
        const Floats v = load_first(x + i, rest);
        squares = fused(v, v, squares);
      });
  const Floats inverse = broadcast(1.0f / __builtin_sqrtf(sum_of(squares) / static_cast<float>(n) + eps));
  for_lanes(
      n, [&](size_t i) { store(y + i, multiply(multiply(load(x + i), inverse), load(weight + i))); },
      [&](size_t i, size_t rest) {
        const Floats v = multiply(load_first(x + i, rest), inverse);
        store_first(y + i, multiply(v, load_first(weight + i, rest)), rest);
      });
}

void silu_mul(const float* gate, const float* up, size_t n, float* y) {
  for_lanes(
      n, [&](size_t i) { store(y + i, silu_times(load(gate + i), load(up + i))); },
      [&](size_t i, size_t rest) {
        store_first(y + i, silu_times(load_first(gate + i, rest), load_first(up + i, rest)), rest);
      });
}

float exp_shifted(float* x, float shift, size_t n) {
  Floats sum = zero();
  const Floats subtrahend = broadcast(shift);
  for_lanes(
      n,
      [&](size_t i) {
        const Floats e = exp_of(subtract(load(x + i), subtrahend));
        store(x + i, e);
        sum = add(sum, e);
      },
      [&](size_t i, size_t rest) {
        const Floats e = exp_of(subtract(load_first(x + i, rest), subtrahend));
        store_first(x + i, e, rest);
        sum = add(sum, keep_first(e, rest, zero()));
      });
  return sum_of(sum);
}

float max(const float* x, size_t n) {
  const Floats least = broadcast(-__builtin_inff());
  Floats most = least;
  for_lanes(
      n, [&](size_t i) { most = greater(load(x + i), most); },
      [&](size_t i, size_t rest) { most = greater(keep_first(load_first(x + i, rest), rest, least), most); });
  return greatest_of(most);
}

void axpy(float a, const float* x, size_t n, float* y) {
  const Floats factor = broadcast(a);
  for_lanes(
      n, [&](size_t i) { store(y + i, fused(factor, load(x + i), load(y + i))); },
      [&](size_t i, size_t rest) {
        store_first(y + i, fused(factor, load_first(x + i, rest), load_first(y + i, rest)), rest);
      });
}

void scale(float a, size_t n, float* x) {
  const Floats factor = broadcast(a);
  for_lanes(
      n, [&](size_t i) { store(x + i, multiply(factor, load(x + i))); },
      [&](size_t i, size_t rest) { store_first(x + i, multiply(factor, load_first(x + i, rest)), rest); });
}
