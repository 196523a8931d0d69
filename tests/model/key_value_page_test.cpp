#include "model/key_value_page.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "base/error.h"
#include "base/rng.h"

namespace tern {
namespace {

constexpr size_t kTokens = KeyValuePage::kPageTokens;

/// A page with memory, filled with random keys and values.
class FilledPage {
 public:
  FilledPage(CacheType type, const KeyValueShape& shape, Rng& rng)
      : layout(type, shape), shape_(shape), lines_(layout.bytes() / sizeof(Line)) {
    for (std::vector<float>* all : {&keys, &values}) {
      all->resize(kTokens * shape.heads * (all == &keys ? shape.key : shape.value));
      for (float& x : *all) x = static_cast<float>(rng.uniform() * 4 - 2);
    }
    for (size_t slot = 0; slot < kTokens; ++slot) put(slot);
  }
  void put(size_t slot) {
    for (int h = 0; h < shape_.heads; ++h)
      layout.put(kernels(detect_isa()), page(), slot, h, key(slot, h), value(slot, h));
  }
  std::byte* page() { return reinterpret_cast<std::byte*>(lines_.data()); }
  float* key(size_t slot, size_t h) { return keys.data() + (slot * shape_.heads + h) * shape_.key; }
  float* value(size_t slot, size_t h) { return values.data() + (slot * shape_.heads + h) * shape_.value; }

  const KeyValuePage layout;
  std::vector<float> keys, values;

 private:
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  KeyValueShape shape_;
  std::vector<Line> lines_;
};

constexpr KeyValueShape kShapes[] = {{1, 576, 512}, {2, 80, 64}, {3, 33, 17}, {1, 1, 1}, {8, 128, 300}};
struct Kept {
  CacheType type;
  double error;  // of a value, relative to the greatest it shares a scale with
};
constexpr Kept kKept[] = {{CacheType::f32, 0}, {CacheType::bf16, 0x1p-8}, {CacheType::int8, 0.6 / 127}};

TEST(KeyValuePage, GivesTheKeysBack) {
  Rng rng(1);
  for (const KeyValueShape& shape : kShapes) {
    for (const Kept& kept : kKept) {
      FilledPage filled(kept.type, shape, rng);
      std::vector<float> read(kTokens * shape.key);
      for (int h = 0; h < shape.heads; ++h) {
        filled.layout.read_keys(filled.page(), h, kTokens, read.data());
        for (size_t slot = 0; slot < kTokens; ++slot) {
          for (int c = 0; c < shape.key; ++c)
            ASSERT_NEAR(read[slot * shape.key + c], filled.key(slot, h)[c], 2 * kept.error)
                << cache_type_name(kept.type) << " " << shape.key << ", token " << slot << ", " << c;
        }
      }
    }
  }
}

// Weights times values, as attention does it: int8 with the tokens' scales in the weights.
TEST(KeyValuePage, ValuesAreMatricesOfTheKernels) {
  Rng rng(2);
  const Kernels& table = kernels(detect_isa());
  for (const KeyValueShape& shape : kShapes) {
    for (const Kept& kept : kKept) {
      FilledPage filled(kept.type, shape, rng);
      const size_t h = shape.heads - 1, token = rng.below(kTokens);
      for (size_t block = 0; block < filled.layout.value_blocks(); ++block) {
        const PackedMatrix matrix = filled.layout.values(filled.page(), h, block);
        // All the weight on one token gives its values.
        std::vector<float> weights(kTokens), sums(matrix.rows);
        weights[token] =
            kept.type == CacheType::int8 ? filled.layout.value_scales(filled.page(), h, block)[token] : 1.0f;
        Activations activations;
        activations.reserve(1, kTokens);
        activations.set(table, weights.data(), kTokens, 1, kTokens, filled.layout.quantized());
        table.matmul(matrix, activations, sums.data(), sums.size(), 0, matrix.panels(), false);
        for (size_t d = 0; d < matrix.rows; ++d)
          ASSERT_NEAR(sums[d], filled.value(token, h)[block * KeyValuePage::kValueBlock + d],
                      2 * kept.error + (kept.error > 0 ? 1e-5 : 0))
              << cache_type_name(kept.type) << " " << shape.value << ", " << d;
      }
    }
  }
}

TEST(KeyValuePage, ATokenDoesNotTouchOthers) {
  Rng rng(3);
  for (const Kept& kept : kKept) {
    FilledPage filled(kept.type, {2, 80, 64}, rng);
    std::vector<float> before(kTokens * 80), after(kTokens * 80);
    filled.layout.read_keys(filled.page(), 1, kTokens, before.data());
    const std::vector<std::byte> page(filled.page(), filled.page() + filled.layout.bytes());
    // The same bytes come of writing the same token again, in whatever order.
    for (const size_t slot : {31, 0, 7}) filled.put(slot);
    EXPECT_TRUE(std::equal(page.begin(), page.end(), filled.page()));
    std::fill_n(filled.key(5, 1), 80, 7.0f);
    filled.put(5);
    filled.layout.read_keys(filled.page(), 1, kTokens, after.data());
    for (size_t i = 0; i < before.size(); ++i) {
      if (i / 80 == 5) {
        EXPECT_NEAR(after[i], 7.0f, 0.03);
      } else {
        ASSERT_EQ(after[i], before[i]) << cache_type_name(kept.type) << " " << i;
      }
    }
  }
}

// Read and kept once more, keys are what they were: nothing is lost a second time.
TEST(KeyValuePage, KeptKeysKeepTheirBits) {
  Rng rng(4);
  for (const Kept& kept : kKept) {
    FilledPage filled(kept.type, {1, 576, 512}, rng);
    std::vector<float> once(kTokens * 576), twice(kTokens * 576);
    filled.layout.read_keys(filled.page(), 0, kTokens, once.data());
    filled.keys = once;
    for (size_t slot = 0; slot < kTokens; ++slot) filled.put(slot);
    filled.layout.read_keys(filled.page(), 0, kTokens, twice.data());
    EXPECT_EQ(once, twice) << cache_type_name(kept.type);
  }
}

TEST(KeyValuePage, WhatIsNotFiniteStaysVisible) {
  Rng rng(5);
  for (const Kept& kept : kKept) {
    for (const float bad :
         {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      FilledPage filled(kept.type, {1, 64, 64}, rng);
      filled.key(3, 0)[40] = filled.value(3, 0)[40] = bad;
      filled.put(3);
      std::vector<float> read(kTokens * 64);
      filled.layout.read_keys(filled.page(), 0, kTokens, read.data());
      EXPECT_FALSE(std::isfinite(read[3 * 64 + 40]));
      EXPECT_TRUE(std::isfinite(read[4 * 64 + 40]));
      if (kept.type != CacheType::int8) continue;
      EXPECT_TRUE(std::isnan(filled.layout.value_scales(filled.page(), 0, 0)[3]));
    }
  }
}

TEST(KeyValuePage, ZerosAndDenormalsAreZeros) {
  Rng rng(6);
  FilledPage filled(CacheType::int8, {1, 64, 64}, rng);
  std::fill_n(filled.key(0, 0), 64, 0.0f);
  std::fill_n(filled.value(0, 0), 64, 1e-40f);
  filled.put(0);
  std::vector<float> read(64);
  filled.layout.read_keys(filled.page(), 0, 1, read.data());
  EXPECT_EQ(read, std::vector<float>(64));
  EXPECT_EQ(filled.layout.value_scales(filled.page(), 0, 0)[0], 0);
}

TEST(KeyValuePage, NamesAndSizes) {
  for (const CacheType type : {CacheType::automatic, CacheType::f32, CacheType::bf16, CacheType::int8})
    EXPECT_EQ(parse_cache_type(cache_type_name(type)), type);
  EXPECT_THROW(parse_cache_type("f16"), Error);
  EXPECT_THROW(KeyValuePage(CacheType::f32, {0, 1, 1}), Error);
  EXPECT_THROW(KeyValuePage(CacheType::f32, {1, 0, 1}), Error);
  // DeepSeek-V2-Lite: 576 and 512 dimensions a token.
  const uint64_t f32 = KeyValuePage(CacheType::f32, {1, 576, 512}).bytes() / kTokens;
  EXPECT_EQ(f32, 4 * (576 + 512));
  EXPECT_EQ(KeyValuePage(CacheType::bf16, {1, 576, 512}).bytes() / kTokens, f32 / 2);
  EXPECT_LT(KeyValuePage(CacheType::int8, {1, 576, 512}).bytes() / kTokens, f32 * 0.28);
}

}  // namespace
}  // namespace tern
