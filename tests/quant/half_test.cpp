// F16 and BF16 against the formats' definitions, in double arithmetic that shares nothing with the code.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/rng.h"
#include "quant/types.h"

namespace tern {
namespace {

/// The value of finite bits by the definition: (-1)^s 2^(e - bias) 1.f, or 0.f for denormals.
double half_value(uint32_t bits, int fraction_bits, int exponent_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const auto fraction = static_cast<double>(bits & ((1u << fraction_bits) - 1)) / (1 << fraction_bits);
  const int exponent = static_cast<int>(bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const double magnitude =
      exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1 + fraction, exponent - bias);
  return (bits >> 15) != 0 ? -magnitude : magnitude;
}

TEST(F16, DecodesEveryValue) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = f16_to_f32(static_cast<uint16_t>(bits));
    ASSERT_EQ(std::signbit(value), bits >= 0x8000) << bits;
    if ((bits & 0x7c00) != 0x7c00) {
      ASSERT_EQ(value, half_value(bits, 10, 5)) << bits;
    } else if ((bits & 0x3ff) == 0) {
      ASSERT_TRUE(std::isinf(value)) << bits;
    } else {
      // Quiet, with the payload at the top: what F16C gives.
      ASSERT_EQ(std::bit_cast<uint32_t>(value), (bits & 0x8000) << 16 | 0x7fc00000 | (bits & 0x3ff) << 13)
          << bits;
    }
  }
}

TEST(F16, EncodesBackEveryValue) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const bool nan = (bits & 0x7c00) == 0x7c00 && (bits & 0x3ff) != 0;
    ASSERT_EQ(f32_to_f16(f16_to_f32(static_cast<uint16_t>(bits))), nan ? bits | 0x200 : bits);
  }
}

TEST(F16, RoundsToNearestEvenBetweenEveryPair) {
  for (uint32_t low = 0; low < 0x7c00; ++low) {
    const uint32_t high = low + 1;  // 0x7c00, infinity, stands at 65536 for rounding
    const double upper = high == 0x7c00 ? 65536.0 : half_value(high, 10, 5);
    const auto middle = static_cast<float>((half_value(low, 10, 5) + upper) / 2);  // exact in a float
    const uint32_t even = low % 2 == 0 ? low : high;
    const float below = std::nextafter(middle, 0.0f);
    const float above = std::nextafter(middle, std::numeric_limits<float>::infinity());
    ASSERT_EQ(f32_to_f16(middle), even) << low;
    ASSERT_EQ(f32_to_f16(below), low) << low;
    ASSERT_EQ(f32_to_f16(above), high) << low;
    ASSERT_EQ(f32_to_f16(-middle), even | 0x8000) << low;
    ASSERT_EQ(f32_to_f16(-below), low | 0x8000) << low;
    ASSERT_EQ(f32_to_f16(-above), high | 0x8000) << low;
  }
}

TEST(F16, EncodesTheEdges) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(f32_to_f16(infinity), 0x7c00);
  EXPECT_EQ(f32_to_f16(-infinity), 0xfc00);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::max()), 0x7c00);
  EXPECT_EQ(f32_to_f16(0x1p-149f), 0x0000);
  EXPECT_EQ(f32_to_f16(-0x1p-149f), 0x8000);
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0x7f800001u)),
            0x7e00);  // a NaN whose payload does not fit stays NaN
  EXPECT_EQ(f32_to_f16(std::bit_cast<float>(0xffc02000u)), 0xfe01);
}

TEST(BF16, DecodesEveryValue) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    const float value = bf16_to_f32(static_cast<uint16_t>(bits));
    if ((bits & 0x7f80) != 0x7f80) {
      ASSERT_EQ(value, half_value(bits, 7, 8)) << bits;
    }
    ASSERT_EQ(std::bit_cast<uint32_t>(value), bits << 16);
  }
}

TEST(BF16, RoundsToNearestEvenBetweenEveryPair) {
  for (uint32_t low = 0; low < 0x7f80; ++low) {
    const uint32_t middle = low << 16 | 0x8000;
    const uint32_t even = low % 2 == 0 ? low : low + 1;
    ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(low << 16)), low);
    ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(middle)), even) << low;
    ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(middle - 1)), low) << low;
    ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(middle + 1)), low + 1) << low;
    ASSERT_EQ(f32_to_bf16(std::bit_cast<float>(middle | 0x80000000)), even | 0x8000) << low;
  }
}

TEST(BF16, KeepsNaNsAndInfinities) {
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::infinity()), 0x7f80);
  EXPECT_EQ(f32_to_bf16(-std::numeric_limits<float>::infinity()), 0xff80);
  for (const uint32_t bits : {0x7f800001u, 0x7fffffffu, 0xff80ffffu, 0x7fc00000u}) {
    EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(bits))))) << bits;
  }
}

TEST(Half, RandomFloatsLandOnTheNearestValue) {
  Rng rng(16);
  for (int i = 0; i < 200'000; ++i) {
    const auto value = std::bit_cast<float>(static_cast<uint32_t>(rng.next()));
    if (!std::isfinite(value) || std::fabs(value) > 65504) continue;
    const uint16_t bits = f32_to_f16(value);
    const double error = std::fabs(half_value(bits, 10, 5) - value);
    for (const int step : {-1, 1}) {
      const int neighbour = (bits & 0x7fff) + step;
      if (neighbour < 0 || neighbour >= 0x7c00) continue;
      const double other = half_value(static_cast<uint32_t>(neighbour) | (bits & 0x8000), 10, 5);
      ASSERT_LE(error, std::fabs(other - value)) << value;
    }
  }
}

}  // namespace
}  // namespace tern
