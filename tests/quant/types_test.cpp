#include "quant/types.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/rng.h"
#include "tests/expect_error.h"
#include "tests/quant/coding.h"

namespace tern::test {
namespace {

constexpr DType all_types[] = {DType::f32,  DType::f16,    DType::bf16,   DType::q4_0,
                               DType::q4_1, DType::q5_0,   DType::q5_1,   DType::q8_0,
                               DType::q2_k, DType::q3_k,   DType::q4_k,   DType::q5_k,
                               DType::q6_k, DType::iq4_nl, DType::iq4_xs, DType::mxfp4};

std::vector<float> random_weights(size_t n, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> weights(n);
  for (float& w : weights) w = static_cast<float>((rng.uniform() - 0.5) * std::exp2(rng.between(-12, 4)));
  return weights;
}

std::vector<int> quants(const std::vector<std::byte>& block) {
  std::vector<int> values;
  for (size_t i = 2; i < 34; ++i) values.push_back(std::to_integer<int8_t>(block[i]));
  return values;
}

uint16_t scale_bits(const std::vector<std::byte>& block) {
  return static_cast<uint16_t>(std::to_integer<int>(block[0]) | std::to_integer<int>(block[1]) << 8);
}

TEST(Types, AreFoundByNumberAndName) {
  for (const DType type : all_types) {
    const DTypeTraits& t = traits(type);
    EXPECT_EQ(find_dtype(static_cast<uint32_t>(type))->name, t.name);
    EXPECT_EQ(find_dtype(t.name)->type, type);
    EXPECT_EQ(ggml_type_name(static_cast<uint32_t>(type)), t.name);
  }
  EXPECT_EQ(find_dtype(uint32_t{12})->name, "Q4_K");
  EXPECT_FALSE(find_dtype("q4_k"));
  // Known by name, not run.
  for (const uint32_t type : {9u, 15u, 16u, 34u, 40u}) EXPECT_FALSE(find_dtype(type)) << type;
  for (const char* name : {"Q8_1", "IQ2_XXS", "TQ1_0", "NVFP4"}) EXPECT_FALSE(find_dtype(name)) << name;
  EXPECT_EQ(ggml_type_name(16), "IQ2_XXS");
  EXPECT_EQ(ggml_type_name(40), "NVFP4");
  EXPECT_EQ(ggml_type_name(39), "MXFP4");
  EXPECT_EQ(ggml_type_name(4), "type 4");
  EXPECT_EQ(ggml_type_name(4'000'000'000), "type 4000000000");
}

TEST(Types, KnowTheirSizes) {
  EXPECT_EQ(row_bytes(DType::f32, 7), 28u);
  EXPECT_EQ(row_bytes(DType::f16, 7), 14u);
  EXPECT_EQ(row_bytes(DType::bf16, 7), 14u);
  EXPECT_EQ(row_bytes(DType::q8_0, 64), 68u);
  EXPECT_EQ(row_bytes(DType::q8_0, 0), 0u);
  EXPECT_EQ(row_bytes(DType::q4_k, 512), 288u);
  EXPECT_EQ(row_bytes(DType::mxfp4, 64), 34u);
  expect_error(ErrorKind::bad_input, {"128 weights of Q6_K", "multiple of 256"},
               [] { row_bytes(DType::q6_k, 128); });
  expect_error(ErrorKind::bad_input, {"33 weights of Q8_0", "multiple of 32"},
               [] { row_bytes(DType::q8_0, 33); });
  expect_error(ErrorKind::limit, {"overflows"}, [] { row_bytes(DType::f32, uint64_t{1} << 62); });
}

TEST(Types, RefusePartOfABlock) {
  float weights[40] = {};
  std::byte bytes[80] = {};
  expect_error(ErrorKind::bad_input, {"31 weights of Q8_0"},
               [&] { encode(DType::q8_0, weights, 31, bytes); });
  expect_error(ErrorKind::bad_input, {"1 weights of Q8_0"}, [&] { decode(DType::q8_0, bytes, 1, weights); });
}

TEST(Types, RoundTripOddSizesAtAnyAddress) {
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    for (const size_t n : {0, 1, 2, 3, 7, 31, 33, 100}) {
      const auto weights = random_weights(n, n);
      const size_t size = row_bytes(type, n);
      std::vector<std::byte> bytes(size + 2, std::byte{0xaa});
      encode(type, weights.data(), n, bytes.data() + 1);  // misaligned on purpose
      EXPECT_EQ(bytes.front(), std::byte{0xaa});
      EXPECT_EQ(bytes.back(), std::byte{0xaa});
      std::vector<float> back(n + 1, 77.0f);
      decode(type, bytes.data() + 1, n, back.data());
      EXPECT_EQ(back[n], 77.0f);
      for (size_t i = 0; i < n; ++i) {
        const float expected = type == DType::f32   ? weights[i]
                               : type == DType::f16 ? f16_to_f32(f32_to_f16(weights[i]))
                                                    : bf16_to_f32(f32_to_bf16(weights[i]));
        ASSERT_EQ(back[i], expected) << traits(type).name << " " << n << " " << i;
      }
    }
  }
}

TEST(Q8, DecodesTheDefinition) {
  std::vector<std::byte> block(34);
  block[0] = std::byte{0x00};
  block[1] = std::byte{0x38};  // 0.5 in F16, little-endian
  for (int i = 0; i < 32; ++i) block[2 + i] = static_cast<std::byte>(static_cast<int8_t>(i * 8 - 128));
  const auto weights = decoded(DType::q8_0, block, 32);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(weights[i], 0.5f * static_cast<float>(i * 8 - 128));
}

TEST(Q8, RoundsHalfAwayFromZero) {
  std::vector<float> weights(32, 0.0f);
  weights[0] = 127.0f;  // the scale is then exactly 1
  weights[1] = 0.5f;
  weights[2] = 2.5f;
  weights[3] = -2.5f;
  weights[4] = 2.49f;
  weights[5] = -127.0f;
  const auto block = encoded(DType::q8_0, weights);
  EXPECT_EQ(scale_bits(block), 0x3c00);
  auto expected = std::vector<int>(32, 0);
  expected[0] = 127;
  expected[1] = 1;
  expected[2] = 3;
  expected[3] = -3;
  expected[4] = 2;
  expected[5] = -127;
  EXPECT_EQ(quants(block), expected);
}

TEST(Q8, EncodesRandomBlocksByTheDefinition) {
  const size_t blocks = 500;
  const auto weights = random_weights(blocks * 32, 8);
  const auto bytes = encoded(DType::q8_0, weights);
  for (size_t b = 0; b < blocks; ++b) {
    const std::vector<std::byte> block(bytes.begin() + b * 34, bytes.begin() + (b + 1) * 34);
    float most = 0;
    for (size_t i = 0; i < 32; ++i) most = std::fmax(most, std::fabs(weights[b * 32 + i]));
    const float scale = most / 127.0f;
    ASSERT_EQ(scale_bits(block), f32_to_f16(scale));
    const auto q = quants(block);
    for (size_t i = 0; i < 32; ++i) {
      ASSERT_EQ(q[i], static_cast<int>(roundf(weights[b * 32 + i] * (1.0f / scale)))) << b << " " << i;
    }
  }
}

TEST(Q8, ErrorIsAtMostHalfAStep) {
  const size_t n = 32 * 200;
  const auto weights = random_weights(n, 9);
  const auto back = decoded(DType::q8_0, encoded(DType::q8_0, weights), n);
  for (size_t b = 0; b < n; b += 32) {
    float most = 0;
    for (size_t i = b; i < b + 32; ++i) most = std::fmax(most, std::fabs(weights[i]));
    // Half a step, and the scale's own rounding to F16 (2^-11, or 2^-25 for a denormal) times up to 127
    // steps.
    const double bound = most / 127 * 0.5 + most * 0x1.02p-11 + 127 * 0x1p-25;
    for (size_t i = b; i < b + 32; ++i) ASSERT_LE(std::fabs(back[i] - weights[i]), bound) << i;
  }
}

TEST(Q8, ZerosAndDenormalsBecomeZero) {
  for (const float tiny : {0.0f, -0.0f, 0x1p-149f, 0x1p-127f, -0x1p-126f, 0x1p-30f}) {
    const auto back = decoded(DType::q8_0, encoded(DType::q8_0, std::vector<float>(32, tiny)), 32);
    for (const float w : back) EXPECT_EQ(w, 0.0f) << tiny;
  }
}

TEST(Q8, RefusesWhatItCannotHold) {
  for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN(), 1e7f}) {
    std::vector<float> weights(32, 1.0f);
    weights[31] = bad;
    expect_error(ErrorKind::bad_input, {"Q8_0", "cannot encode"}, [&] { encoded(DType::q8_0, weights); });
  }
  std::vector<float> large(32, 8e6f);  // scale 62992, still an F16
  EXPECT_NEAR(decoded(DType::q8_0, encoded(DType::q8_0, large), 32)[0], 8e6f, 8e6f * 0x1p-11);
}

}  // namespace
}  // namespace tern::test
