// The tables that every kernel test runs on, and buffers that notice what they shouldn't.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.h"
#include "kernels/kernels.h"

namespace tern::test {

/// A table by the name of a test's parameter: an instruction set's, or an emulated one's.
struct NamedTable {
  std::string name;
  const Kernels* kernels = nullptr;  ///< null where this machine or build lacks it
};

/// All that could be tested, in the order scalar, avx2, ...
std::vector<NamedTable> named_tables();

/// A test over every table; skipped by name where the table isn't there.
class EveryTable : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override;
  const Kernels& table() const { return *table_; }
  /// The oracle.
  static const Kernels& scalar() { return tern::kernels(Isa::scalar); }

 private:
  const Kernels* table_ = nullptr;
};

std::vector<std::string> table_names();

#define TERN_EVERY_TABLE(suite)                                                          \
  INSTANTIATE_TEST_SUITE_P(Kernels, suite, testing::ValuesIn(tern::test::table_names()), \
                           [](const testing::TestParamInfo<std::string>& table) { return table.param; })

/// n floats of the standard normal distribution, about.
std::vector<float> random_floats(Rng& rng, size_t n, float scale = 1.0f);

/// The same bits, where any NaN equals any other.
inline bool same(float a, float b) {
  return (std::isnan(a) && std::isnan(b)) || std::memcmp(&a, &b, sizeof a) == 0;
}
testing::AssertionResult same(const std::vector<float>& a, const std::vector<float>& b);

/// Rows {rows, cols} of floats a stride apart, at an address that is only a float's alignment; what lies
/// between and around is NaN, which check() wants untouched (and which shows in any result that it leaks
/// into).
class Grid {
 public:
  Grid(size_t rows, size_t cols, size_t stride, size_t misalign = 1)
      : rows_(rows),
        cols_(cols),
        stride_(stride + (stride == 0)),
        offset_(guard + misalign),
        memory_(offset_ + rows * stride_ + guard) {
    for (float& value : memory_) std::memcpy(&value, &canary, 4);
  }
  float* data() { return memory_.data() + offset_; }
  size_t stride() const { return stride_; }
  float& at(size_t r, size_t c) { return data()[r * stride_ + c]; }
  void fill(const std::vector<float>& values) {
    for (size_t r = 0; r < rows_; ++r) {
      for (size_t c = 0; c < cols_; ++c) at(r, c) = values[r * cols_ + c];
    }
  }
  std::vector<float> values() {
    std::vector<float> result;
    for (size_t r = 0; r < rows_; ++r) result.insert(result.end(), &at(r, 0), &at(r, 0) + cols_);
    return result;
  }
  /// Nothing but the rows was written.
  testing::AssertionResult check() const {
    for (size_t i = 0; i < memory_.size(); ++i) {
      const bool inside = i >= offset_ && (i - offset_) / stride_ < rows_ && (i - offset_) % stride_ < cols_;
      if (!inside && std::memcmp(&memory_[i], &canary, 4) != 0) {
        return testing::AssertionFailure() << "float " << i << " written, rows start at " << offset_;
      }
    }
    return testing::AssertionSuccess();
  }

 private:
  static constexpr uint32_t canary = 0x7fdeadbe;  // a NaN
  static constexpr size_t guard = 32;
  size_t rows_, cols_, stride_, offset_;
  std::vector<float> memory_;
};

/// A packed random matrix, its file bytes and its decoded weights.
struct Weights {
  /// Random values; for a type of blocks random blocks, so that every quant and every scale occurs.
  Weights(DType type, size_t rows, size_t cols, Rng& rng);
  Weights(DType type, size_t rows, size_t cols, const std::vector<float>& values);
  /// The same shape with other file bytes.
  Weights(const Weights& shape, const std::vector<std::byte>& new_file);

  PackedMatrix matrix() const;

  DType type;
  size_t rows, cols;
  std::vector<std::byte> file;
  std::vector<float> decoded;  ///< {rows, cols}

 private:
  void pack_file();
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  std::vector<Line> packed_;
};

/// y {tokens, rows} of one table; x {tokens, cols}, the panels done in the given pieces.
std::vector<float> run_matmul(const Kernels& kernels, const Weights& w, const std::vector<float>& x,
                              size_t tokens, size_t panels_a_call = 1000);

constexpr DType block_types[] = {DType::q4_0,   DType::q4_1,   DType::q5_0, DType::q5_1, DType::q8_0,
                                 DType::q2_k,   DType::q3_k,   DType::q4_k, DType::q5_k, DType::q6_k,
                                 DType::iq4_nl, DType::iq4_xs, DType::mxfp4};
constexpr DType all_types[] = {DType::f32,  DType::f16,    DType::bf16,   DType::q4_0,
                               DType::q4_1, DType::q5_0,   DType::q5_1,   DType::q8_0,
                               DType::q2_k, DType::q3_k,   DType::q4_k,   DType::q5_k,
                               DType::q6_k, DType::iq4_nl, DType::iq4_xs, DType::mxfp4};

/// `cols`, or as many as whole blocks of the type take.
size_t whole_blocks(DType type, size_t cols);

/// Blocks of n weights as a file holds them, random but for F16 and E8M0 scales of ordinary size; or with all
/// other bytes `fill`.
std::vector<std::byte> random_blocks(DType type, size_t n, Rng& rng, std::optional<uint8_t> fill = {});
/// Calls set(first byte) for each F16 scale of the blocks.
template <typename Set>
void each_half_scale(DType type, size_t bytes, const Set& set) {
  const DTypeTraits& t = traits(type);
  const bool two = type == DType::q4_1 || type == DType::q5_1 || type == DType::q2_k || type == DType::q4_k ||
                   type == DType::q5_k;
  const bool last = type == DType::q2_k || type == DType::q3_k || type == DType::q6_k;
  for (size_t at = 0; at < bytes && type != DType::mxfp4; at += t.block_bytes) {
    const size_t first = last ? at + t.block_bytes - (two ? 4 : 2) : at;
    set(first);
    if (two) set(first + 2);
  }
}

}  // namespace tern::test
