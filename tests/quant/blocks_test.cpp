#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <numbers>
#include <vector>

#include "base/rng.h"
#include "tests/expect_error.h"
#include "tests/quant/coding.h"
#include "tests/quant/definition.h"

namespace tern::test {
namespace {

constexpr DType block_types[] = {DType::q4_0,  DType::q4_1,   DType::q5_0,  DType::q5_1, DType::q8_0,
                                 DType::q2_k,  DType::q3_k,   DType::q4_k,  DType::q5_k, DType::q6_k,
                                 DType::mxfp4, DType::iq4_nl, DType::iq4_xs};
constexpr DType encoded_types[] = {DType::q4_0, DType::q4_1,  DType::q5_0, DType::q5_1,
                                   DType::q8_0, DType::mxfp4, DType::q2_k, DType::q3_k,
                                   DType::q4_k, DType::q5_k,  DType::q6_k};
constexpr DType k_types[] = {DType::q2_k, DType::q3_k, DType::q4_k, DType::q5_k, DType::q6_k};

const float kNan = std::numeric_limits<float>::quiet_NaN();
const float kInf = std::numeric_limits<float>::infinity();

std::string name(DType type) {
  return std::string(traits(type).name);
}

std::vector<float> round_trip(DType type, const std::vector<float>& weights) {
  return decoded(type, encoded(type, weights), weights.size());
}

// Box-Muller.
std::vector<float> gaussian(Rng& rng, size_t n, double scale = 1) {
  std::vector<float> values(n);
  for (float& v : values) {
    const double radius = std::sqrt(-2 * std::log(1 - rng.uniform()));
    v = static_cast<float>(radius * std::cos(2 * std::numbers::pi * rng.uniform()) * scale);
  }
  return values;
}

double relative_error(DType type, const std::vector<float>& weights) {
  const std::vector<float> back = round_trip(type, weights);
  double error = 0, power = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    error += std::pow(static_cast<double>(back[i]) - weights[i], 2);
    power += std::pow(static_cast<double>(weights[i]), 2);
  }
  return std::sqrt(error / power);
}

// tests/quant/oracles/make_oracles.py says what is in a file.
std::vector<std::byte> oracle(const std::string& file) {
  std::ifstream in(std::string(TERN_SOURCE_DIR) + "/tests/quant/oracles/" + file, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
  EXPECT_FALSE(bytes.empty()) << file;
  const auto* begin = reinterpret_cast<const std::byte*>(bytes.data());
  return {begin, begin + bytes.size()};
}

std::vector<float> floats_at(const std::vector<std::byte>& bytes, size_t at, size_t n) {
  std::vector<float> values(n);
  std::memcpy(values.data(), bytes.data() + at, n * sizeof(float));
  return values;
}

TEST(Blocks, DecodeThePublicPackagesBits) {
  for (const DType type : block_types) {
    const std::vector<std::byte> file = oracle(name(type) + ".bin");
    const size_t bytes = row_bytes(type, 256);
    ASSERT_EQ(file.size(), bytes + 1024) << name(type);
    const std::vector<float> expected = floats_at(file, bytes, 256), weights = decoded(type, file, 256);
    EXPECT_EQ(std::memcmp(weights.data(), expected.data(), 1024), 0) << name(type);
  }
}

TEST(Blocks, EncodeThePublicPackagesBits) {
  const std::vector<std::byte> file = oracle("encode.bin");
  const std::vector<float> weights = floats_at(file, 0, 256);
  size_t at = 1024;
  for (const DType type : {DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q8_0, DType::mxfp4}) {
    const std::vector<std::byte> bytes = encoded(type, weights);
    ASSERT_LE(at + bytes.size(), file.size());
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), file.begin() + static_cast<ptrdiff_t>(at)))
        << name(type);
    at += bytes.size();
  }
  EXPECT_EQ(at, file.size());
}

// Random bytes are blocks with every nibble and every scale, infinite and NaN ones among them.
TEST(Blocks, RandomBytesDecodeByTheDefinition) {
  Rng rng(1);
  for (const DType type : block_types) {
    const DTypeTraits& t = traits(type);
    const size_t blocks = 64 * 256 / t.block_size;
    std::vector<std::byte> bytes(blocks * t.block_bytes + 1);
    for (std::byte& b : bytes) b = static_cast<std::byte>(rng.below(256));
    std::vector<float> weights(blocks * t.block_size);
    decode(type, bytes.data() + 1, weights.size(), weights.data());  // misaligned on purpose
    for (size_t i = 0; i < weights.size(); ++i) {
      const auto* block =
          reinterpret_cast<const uint8_t*>(bytes.data() + 1) + i / t.block_size * t.block_bytes;
      const float expected = defined_weight(type, block, i % t.block_size);
      if (std::isnan(expected) && std::isnan(weights[i])) continue;
      ASSERT_EQ(weights[i], expected) << t.name << " weight " << i;
    }
  }
}

TEST(Blocks, RoundTripErrorIsBoundedByTheBlock) {
  // Of the greatest magnitude in a block of 32: half a step, or a whole one where the last quant is missing
  // on one side (Q4_0, Q5_0); MXFP4 has 6 where 8 was wanted.
  const auto bound = [](DType type) {
    switch (type) {
      case DType::q4_0:
        return 1.0 / 8;
      case DType::q4_1:
        return 2.0 / 30;
      case DType::q5_0:
        return 1.0 / 16;
      case DType::q5_1:
        return 2.0 / 62;
      case DType::q8_0:
        return 0.5 / 127;
      default:
        return 0.25;
    }
  };
  Rng rng(2);
  for (const DType type : {DType::q4_0, DType::q4_1, DType::q5_0, DType::q5_1, DType::q8_0, DType::mxfp4}) {
    for (int round = 0; round < 200; ++round) {
      const std::vector<float> weights = gaussian(rng, 32, std::exp2(rng.between(-10, 10)));
      const std::vector<float> back = round_trip(type, weights);
      float most = 0;
      for (const float w : weights) most = std::fmax(most, std::fabs(w));
      for (size_t i = 0; i < 32; ++i) {
        ASSERT_LE(std::fabs(back[i] - weights[i]), most * (bound(type) + 0x1p-9) + 0x1p-20) << name(type);
      }
    }
  }
}

// The root mean square error over that of the weights; the bounds are ggml's reference quantizers' own
// figures on such weights (llama-cpp-python 0.3.36).
TEST(KQuants, ErrAtMostAsGgmlOnGaussianWeights) {
  Rng rng(3);
  const std::vector<float> weights = gaussian(rng, 256 * 300, 0.02);
  EXPECT_LT(relative_error(DType::q2_k, weights), 0.2965);
  EXPECT_LT(relative_error(DType::q3_k, weights), 0.1509);
  EXPECT_LT(relative_error(DType::q4_k, weights), 0.0714);
  EXPECT_LT(relative_error(DType::q5_k, weights), 0.0361);
  EXPECT_LT(relative_error(DType::q6_k, weights), 0.0178);
}

// Sub-blocks of very different size, and of one sign.
TEST(KQuants, ErrLittleOnUnevenWeights) {
  Rng rng(4);
  std::vector<float> weights = gaussian(rng, 256 * 100, 0.02);
  for (size_t i = 0; i < weights.size(); i += 32) {
    const double scale = std::exp2(rng.between(-3, 2));
    const bool positive = rng.chance(0.3);
    for (size_t j = i; j < i + 32; ++j) {
      weights[j] = static_cast<float>(weights[j] * scale);
      if (positive) weights[j] = std::fabs(weights[j]);
    }
  }
  EXPECT_LT(relative_error(DType::q2_k, weights), 0.27);
  EXPECT_LT(relative_error(DType::q3_k, weights), 0.15);
  EXPECT_LT(relative_error(DType::q4_k, weights), 0.07);
  EXPECT_LT(relative_error(DType::q5_k, weights), 0.035);
  EXPECT_LT(relative_error(DType::q6_k, weights), 0.018);
}

// What the format holds exactly, comes back exactly.
TEST(KQuants, GridsAreExact) {
  for (const auto& [type, quants] : {std::pair{DType::q2_k, 4}, {DType::q4_k, 16}, {DType::q5_k, 32}}) {
    std::vector<float> weights(256);
    for (size_t i = 0; i < 256; ++i)
      weights[i] = static_cast<float>(i % quants) - static_cast<float>(quants / 2);
    EXPECT_LT(relative_error(type, weights), 1e-3) << name(type);
  }
  for (const auto& [type, quants] : {std::pair{DType::q3_k, 8}, {DType::q6_k, 64}}) {
    std::vector<float> weights(256);
    for (size_t i = 0; i < 256; ++i)
      weights[i] = static_cast<float>(i * 37 % quants) - static_cast<float>(quants / 2);
    for (size_t i = 0; i < 256; i += 16) weights[i] = static_cast<float>(-quants / 2);
    EXPECT_EQ(round_trip(type, weights), weights) << name(type);
  }
}

TEST(KQuants, ZerosConstantsOutliersAndTinyWeights) {
  for (const DType type : k_types) {
    for (const float tiny : {0.0f, -0.0f, 1e-38f, -1e-45f, 0x1p-60f}) {
      for (const float w : round_trip(type, std::vector<float>(256, tiny))) EXPECT_EQ(w, 0.0f) << name(type);
    }
    for (const float all : {1.0f, -1.0f, 300.0f, 1e-3f, -1e-4f}) {
      EXPECT_LT(relative_error(type, std::vector<float>(256, all)), 0.01) << name(type) << " " << all;
    }
    std::vector<float> outlier(256, 1e-3f);
    outlier[77] = -1000.0f;
    EXPECT_NEAR(round_trip(type, outlier)[77], -1000.0f, 10.0f) << name(type);
  }
}

TEST(Blocks, RefuseWhatTheyCannotHold) {
  for (const DType type : encoded_types) {
    for (const float bad : {kNan, kInf, -kInf}) {
      std::vector<float> weights(512, 1.0f);
      weights[511] = bad;
      expect_error(ErrorKind::bad_input, {name(type), "cannot encode"}, [&] { encoded(type, weights); });
    }
    if (type == DType::mxfp4) continue;  // has the exponents of F32
    for (const float large : {1e9f, -1e9f, std::numeric_limits<float>::max()}) {
      std::vector<float> weights(256, 1.0f);
      weights[100] = large;
      expect_error(ErrorKind::bad_input, {name(type), "cannot encode", "F16"},
                   [&] { encoded(type, weights); });
    }
  }
  for (const DType type : {DType::iq4_nl, DType::iq4_xs}) {
    expect_error(ErrorKind::unsupported, {name(type)}, [&] { encoded(type, std::vector<float>(256)); });
  }
}

// The greatest that fit.
TEST(Blocks, LargeWeightsFit) {
  for (const DType type : encoded_types) {
    std::vector<float> weights(256, 1000.0f);
    for (size_t i = 0; i < 256; i += 7) weights[i] = -60000.0f;
    EXPECT_LT(relative_error(type, weights), 0.3) << name(type);
  }
}

TEST(Mxfp4, HasTheExponentsOfFloats) {
  for (const float most : {6.0f, 0x1p-120f, 0x1.8p120f, 0x1p-124f}) {
    std::vector<float> weights(32, 0.0f);
    weights[3] = most;
    weights[4] = -most / 2;
    EXPECT_EQ(round_trip(DType::mxfp4, weights), weights) << most;
  }
  for (const float w : round_trip(DType::mxfp4, std::vector<float>(32, 0x1p-149f))) EXPECT_EQ(w, 0.0f);
}

}  // namespace
}  // namespace tern::test
