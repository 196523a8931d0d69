// The oracles of YaRN as DeepSeek's models use it.
#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "files/gguf.h"

namespace tern {
namespace {

struct Yarn {
  bool type = true;
  bool log_multiplier = true;
  float m = 1.0f;
};

RopeParams deepseek_rope(const Yarn& yarn) {
  GgufWriter writer;
  writer.add_u32("a.rope.dimension_count", 64);
  writer.add_f32("a.rope.freq_base", 10000.0f);
  if (yarn.type) writer.add_string("a.rope.scaling.type", "yarn");
  writer.add_f32("a.rope.scaling.factor", 40.0f);
  writer.add_u32("a.rope.scaling.original_context_length", 4096);
  if (yarn.log_multiplier) writer.add_f32("a.rope.scaling.yarn_log_multiplier", 0.1f * yarn.m);
  const std::vector<std::byte> bytes = writer.bytes();
  return read_rope(GgufFile::parse(bytes, "test"), "a");
}

double softmax_scale(const RopeParams& rope) {
  return rope_softmax_factor(rope) / std::sqrt(192.0);
}

TEST(Yarn, SoftmaxScaleAndMagnitudeOfTheRealModels) {
  const RopeParams v3 = deepseek_rope({});
  EXPECT_NEAR(softmax_scale(v3), 0.1352338, 5e-8);
  EXPECT_EQ(rope_magnitude(v3), 1.0);
  const RopeParams lite = deepseek_rope({.m = 0.707f});
  EXPECT_NEAR(softmax_scale(lite), 0.1147214, 5e-8);
  EXPECT_EQ(rope_magnitude(lite), 1.0);
}

TEST(Yarn, RampOfTheRealModels) {
  const YarnRamp ramp = yarn_ramp(deepseek_rope({}));
  EXPECT_EQ(ramp.low, 10);
  EXPECT_EQ(ramp.high, 23);
}

TEST(Yarn, FrequenciesGoFromPlainToDivided) {
  const std::vector<double> f = rope_frequencies(deepseek_rope({}));
  ASSERT_EQ(f.size(), 32u);
  const auto plain = [](int i) { return std::pow(10000.0, -i / 32.0); };
  for (int i = 0; i <= 10; ++i) EXPECT_DOUBLE_EQ(f[i], plain(i));
  for (int i = 23; i < 32; ++i) EXPECT_DOUBLE_EQ(f[i], plain(i) / 40);
  EXPECT_NEAR(f[12] / plain(12), (11.0 / 13) + (2.0 / 13) / 40, 1e-12);
}

TEST(Yarn, MissingLogMultiplierScalesCosAndSinToo) {
  const RopeParams rope = deepseek_rope({.log_multiplier = false});
  EXPECT_NEAR(rope_magnitude(rope), 1.3689, 5e-5);
  EXPECT_NEAR(softmax_scale(rope), 0.1352338, 5e-8);
}

TEST(Yarn, MissingTypeMeansLinear) {
  const RopeParams rope = deepseek_rope({.type = false, .log_multiplier = false});
  EXPECT_EQ(rope.scaling.type, RopeScaling::Type::linear);
  EXPECT_EQ(rope_magnitude(rope), 1.0);
  EXPECT_EQ(rope_softmax_factor(rope), 1.0);
  const std::vector<double> f = rope_frequencies(rope);
  for (int i = 0; i < 32; ++i) EXPECT_DOUBLE_EQ(f[i], std::pow(10000.0, -i / 32.0) / 40);
}

TEST(Rope, TurnsInterleavedPairs) {
  RopeParams rope;
  rope.dimension = 4;
  RopeTable table(rope, 2);
  table.set(1, 3);
  float x[4] = {1, 2, 3, 4};
  table.rotate(1, x);
  const double angles[] = {3.0, 3.0 * 0.01};
  for (int i = 0; i < 2; ++i) {
    const double even = 1 + 2 * i, odd = 2 + 2 * i, c = std::cos(angles[i]), s = std::sin(angles[i]);
    EXPECT_NEAR(x[2 * i], even * c - odd * s, 1e-6);
    EXPECT_NEAR(x[2 * i + 1], odd * c + even * s, 1e-6);
  }
}

class RopeKeys : public testing::Test {
 protected:
  void expect_refused(ErrorKind kind, const std::string& part) {
    const std::vector<std::byte> bytes = writer.bytes();
    try {
      read_rope(GgufFile::parse(bytes, "test"), "a");
      ADD_FAILURE() << "accepted, expected an error with " << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }
  GgufWriter writer;
};

TEST_F(RopeKeys, OddDimension) {
  writer.add_u32("a.rope.dimension_count", 7);
  expect_refused(ErrorKind::bad_input, "a.rope.dimension_count");
}

TEST_F(RopeKeys, UnknownScaling) {
  writer.add_u32("a.rope.dimension_count", 8);
  writer.add_string("a.rope.scaling.type", "longrope");
  expect_refused(ErrorKind::unsupported, "longrope");
}

TEST_F(RopeKeys, NegativeFactor) {
  writer.add_u32("a.rope.dimension_count", 8);
  writer.add_f32("a.rope.scaling.factor", -1.0f);
  expect_refused(ErrorKind::bad_input, "a.rope.scaling.factor");
}

TEST_F(RopeKeys, YarnWithoutOriginalContext) {
  writer.add_u32("a.rope.dimension_count", 8);
  writer.add_string("a.rope.scaling.type", "yarn");
  expect_refused(ErrorKind::bad_input, "original_context_length");
}

TEST_F(RopeKeys, OtherYarnVariants) {
  writer.add_u32("a.rope.dimension_count", 8);
  writer.add_string("a.rope.scaling.type", "yarn");
  writer.add_u32("a.rope.scaling.original_context_length", 64);
  writer.add_f32("a.rope.scaling.yarn_ext_factor", 0.5f);
  expect_refused(ErrorKind::unsupported, "yarn_ext_factor");
}

}  // namespace
}  // namespace tern
