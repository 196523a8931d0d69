// The machine's limit of integer products, for every instruction set. Included inside an instruction set's
// own namespace, after its simd.h.

// As many sums at once as a tile of registers holds, so that none waits for its own last product.
uint64_t spin_products(size_t rounds) {
  constexpr size_t chains = float_tokens;
  constexpr uint64_t products = 64;  // of one step: four columns of 16 rows
  const int8_t one[4] = {1, 1, 1, 1};
  Ints sums[chains];
  for (Ints& sum : sums) sum = start_partial(broadcast_int(0));
  const auto weights = factor_of<false>(broadcast_int(0x01010101));
  auto four = broadcast_four(one);
  for (size_t round = 0; round < rounds; ++round) {
    for (Ints& sum : sums) {
      keep_computing(four);
      sum = add_products(sum, weights, four);
    }
  }
  for (Ints& sum : sums) keep_computing(sum);
  return rounds * chains * products;
}
