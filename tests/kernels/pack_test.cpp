#include <algorithm>

#include "base/error.h"
#include "kernels/layout.h"
#include "tests/kernels/tables.h"

namespace tern::test {
namespace {

// What has a byte or more a weight, so that its file can be read back byte by byte.
constexpr DType byte_types[] = {DType::f32, DType::f16, DType::bf16, DType::q8_0};

// The file bytes of a packed matrix, read back by the layout's description.
std::vector<std::byte> unpack(const PackedMatrix& m) {
  const size_t row = row_bytes(m.type, m.cols), panel_bytes = packed_panel_bytes(m.type, m.cols);
  std::vector<std::byte> file(m.rows * row);
  for (size_t r = 0; r < m.rows; ++r) {
    const std::byte* panel = m.data + r / 16 * panel_bytes;
    for (size_t k = 0; k < m.cols; ++k) {
      const size_t lane = r % 16;
      std::byte* to = file.data() + r * row;
      switch (m.type) {
        case DType::f32:
          std::copy_n(panel + (k * 16 + lane) * 4, 4, to + k * 4);
          break;
        case DType::f16:
          std::copy_n(panel + (k * 16 + lane) * 2, 2, to + k * 2);
          break;
        case DType::bf16:
          std::copy_n(panel + (k / 2 * 32 + lane * 2 + k % 2) * 2, 2, to + k * 2);
          break;
        case DType::q8_0: {
          const size_t block = k / 32, blocks = m.cols / 32;
          to[block * 34 + 2 + k % 32] = panel[block * 512 + k % 32 / 4 * 64 + lane * 4 + k % 4];
          std::copy_n(panel + blocks * 512 + (block * 16 + lane) * 2, 2, to + block * 34);
          break;
        }
        default:
          break;
      }
    }
  }
  return file;
}

std::vector<std::byte> random_bytes(Rng& rng, size_t n) {
  std::vector<std::byte> bytes(n);
  for (std::byte& b : bytes) b = static_cast<std::byte>(rng.below(256));
  return bytes;
}

TEST(Pack, RoundTrip) {
  Rng rng(1);
  for (const DType type : byte_types) {
    for (const size_t rows : {0, 1, 15, 16, 17, 64, 67}) {
      for (const size_t cols : {0, 1, 2, 31, 32, 63, 64, 65, 127, 160}) {
        if (cols % traits(type).block_size != 0) continue;
        const std::vector<std::byte> file = random_bytes(rng, rows * row_bytes(type, cols));
        // Filled with 1s first, so that absent rows must have been written as zeros.
        std::vector<std::byte> packed(packed_bytes(type, rows, cols) + 1, std::byte{1});
        pack(type, file.data(), rows, cols, packed.data());
        EXPECT_EQ(packed.back(), std::byte{1}) << "written behind the end";
        const PackedMatrix m{type, rows, cols, packed.data()};
        ASSERT_EQ(unpack(m), file) << traits(type).name << " " << rows << " x " << cols;
        EXPECT_EQ(m.panels() * packed_panel_bytes(type, cols), packed_bytes(type, rows, cols));
        EXPECT_EQ(packed_panel_bytes(type, cols) % 64, 0u);
      }
    }
  }
}

// With one activation of 127 and zeros else, the result is 127 times the weight there.
TEST(Pack, BlocksKeepEveryWeight) {
  Rng rng(5);
  for (const DType type : block_types) {
    const size_t cols = 512, rows = 18;
    const Weights w(type, rows, cols, rng);
    std::vector<float> x(cols * cols, 0.0f);
    for (size_t k = 0; k < cols; ++k) x[k * cols + k] = 127.0f;
    const std::vector<float> y = run_matmul(kernels(Isa::scalar), w, x, cols);
    for (size_t i = 0; i < rows * cols; ++i) {
      const size_t r = i / cols, k = i % cols;
      ASSERT_NEAR(y[k * rows + r], 127.0f * w.decoded[i], 1e-3f)
          << traits(type).name << " " << r << ", " << k;
    }
  }
}

TEST(Pack, BlocksTakeNoMoreThanTheFile) {
  for (const DType type : block_types) {
    for (const size_t cols : {256, 512, 1024}) {
      EXPECT_EQ(packed_bytes(type, 32, cols), (16 * row_bytes(type, cols) + 63) / 64 * 64 * 2)
          << traits(type).name;
    }
  }
}

TEST(Pack, AbsentRowsAndPaddingAreZero) {
  Rng rng(2);
  for (const DType type : all_types) {
    const size_t cols = whole_blocks(type, 3), rows = 18;
    std::vector<std::byte> file(rows * row_bytes(type, cols), std::byte{0xff});
    std::vector<std::byte> packed(packed_bytes(type, rows, cols), std::byte{1});
    pack(type, file.data(), rows, cols, packed.data());
    const auto ones = std::count(packed.begin(), packed.end(), std::byte{0xff});
    const auto zeros = std::count(packed.begin(), packed.end(), std::byte{0});
    EXPECT_EQ(static_cast<size_t>(ones), file.size()) << traits(type).name;
    EXPECT_EQ(static_cast<size_t>(ones + zeros), packed.size()) << traits(type).name;
  }
}

TEST(Pack, PanelByPanelInAnyOrderAndStacked) {
  Rng rng(3);
  for (const DType type : all_types) {
    const size_t cols = whole_blocks(type, 96), rows = 16 * 5 + 2;
    const std::vector<std::byte> file = random_bytes(rng, rows * row_bytes(type, cols));
    std::vector<std::byte> whole(packed_bytes(type, rows, cols)), pieces(whole.size(), std::byte{1});
    pack(type, file.data(), rows, cols, whole.data());
    for (const size_t p : {3, 0, 5, 1, 4, 2})
      pack_panels(type, file.data(), rows, cols, p, p + 1, pieces.data());
    EXPECT_EQ(pieces, whole);

    std::vector<std::byte> stacked(whole.size(), std::byte{1});
    pack(type, file.data(), 48, cols, stacked.data());
    pack(type, file.data() + 48 * row_bytes(type, cols), rows - 48, cols,
         stacked.data() + packed_bytes(type, 48, cols));
    EXPECT_EQ(stacked, whole);
  }
}

// Error::kind() of what f throws.
template <typename F>
ErrorKind kind_of(const F& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.kind();
  }
  ADD_FAILURE() << "nothing thrown";
  return ErrorKind::internal;
}

TEST(Pack, SizesThatCannotBe) {
  const size_t huge = ~size_t{0};
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    EXPECT_EQ(kind_of([&] { packed_bytes(type, huge, huge - 31); }), ErrorKind::limit);
    EXPECT_EQ(kind_of([&] { packed_bytes(type, huge, 32); }), ErrorKind::limit);
    EXPECT_EQ(kind_of([&] { packed_panel_bytes(type, huge); }), ErrorKind::limit);
  }
  EXPECT_EQ(kind_of([&] { packed_bytes(DType::q8_0, huge, 32); }), ErrorKind::limit);
  EXPECT_EQ(kind_of([&] { packed_bytes(DType::q8_0, 16, huge - 31); }), ErrorKind::limit);
  EXPECT_EQ(kind_of([&] { packed_bytes(DType::q8_0, 16, 33); }), ErrorKind::bad_input);
  EXPECT_EQ(kind_of([&] { packed_bytes(DType::q4_k, 16, 32); }), ErrorKind::bad_input);
  EXPECT_EQ(kind_of([&] { packed_bytes(DType::q4_k, huge, 256); }), ErrorKind::limit);
}

TEST(Pack, BlocksNeedQuantizedActivations) {
  for (const DType type : all_types) EXPECT_EQ(needs_quantized(type), traits(type).block_size > 1);
}

TEST(Activations, RefusesWhatWasNotReserved) {
  const Kernels& k = kernels(Isa::scalar);
  std::vector<float> x(1000, 1.0f);
  Activations a;
  a.set(k, x.data(), 10, 100, 10, false);  // floats need no room
  EXPECT_EQ(kind_of([&] { a.set(k, x.data(), 32, 1, 32, true); }), ErrorKind::internal);
  a.reserve(4, 64);
  a.set(k, x.data(), 64, 4, 64, true);
  a.set(k, x.data(), 32, 8, 32, true);
  EXPECT_EQ(kind_of([&] { a.set(k, x.data(), 64, 5, 64, true); }), ErrorKind::internal);
  EXPECT_EQ(kind_of([&] { a.set(k, x.data(), 40, 1, 40, true); }), ErrorKind::internal);
  EXPECT_EQ(kind_of([&] { a.reserve(~size_t{0}, 64); }), ErrorKind::limit);
}

TEST(Activations, TokensMayBeQuantisedApart) {
  const Kernels& k = kernels(detect_isa());
  Rng rng(4);
  const std::vector<float> x = random_floats(rng, 5 * 100);
  Activations whole, apart;
  whole.reserve(5, 96);
  apart.reserve(5, 96);
  whole.set(k, x.data(), 100, 5, 96, true);
  apart.point(x.data(), 100, 5, 96, true);
  apart.quantize_tokens(k, 3, 5);
  apart.quantize_tokens(k, 0, 3);
  for (size_t t = 0; t < 5; ++t) {
    EXPECT_TRUE(std::equal(whole.q(t), whole.q(t) + 96, apart.q(t)));
    EXPECT_TRUE(std::equal(whole.scales(t), whole.scales(t) + 3, apart.scales(t)));
    EXPECT_TRUE(std::equal(whole.sums(t), whole.sums(t) + 6, apart.sums(t)));
    EXPECT_TRUE(std::equal(whole.starts(t), whole.starts(t) + 9, apart.starts(t)));
  }
}

// Rows of `a` (3 parts) from `first` on are the rows `from` of b.
void expect_rows(const ActivationRows& a, size_t first, const ActivationRows& b, std::vector<size_t> from) {
  for (size_t i = 0; i < from.size(); ++i) {
    const size_t t = first + i;
    EXPECT_TRUE(std::equal(a.q(t), a.q(t) + 96, b.q(from[i])));
    EXPECT_TRUE(std::equal(a.scales(t), a.scales(t) + 3, b.scales(from[i])));
    EXPECT_TRUE(std::equal(a.sums(t), a.sums(t) + 6, b.sums(from[i])));
    EXPECT_TRUE(std::equal(a.scaled_sums(t), a.scaled_sums(t) + 3, b.scaled_sums(from[i])));
    EXPECT_TRUE(std::equal(a.starts(t), a.starts(t) + 9, b.starts(from[i])));
  }
}

TEST(Activations, ColumnsMayBeQuantisedApartAndRowsCopied) {
  const Kernels& k = kernels(detect_isa());
  Rng rng(6);
  const std::vector<float> x = random_floats(rng, 5 * 100);
  Activations whole, apart, copies;
  for (Activations* a : {&whole, &apart, &copies}) {
    a->reserve(5, 96);
    a->point(x.data(), 100, 5, 96, true);
  }
  whole.quantize_tokens(k, 0, 5);
  apart.quantize_columns(k, 0, 5, 64, 96);
  apart.quantize_columns(k, 2, 5, 0, 64);
  apart.quantize_columns(k, 0, 2, 0, 64);
  expect_rows(apart, 0, whole, {0, 1, 2, 3, 4});
  copies.copy_quantized(1, whole, 4);
  copies.copy_quantized(2, whole, 0);
  expect_rows(copies, 1, whole, {4, 0});
  expect_rows(whole.rows(2, 3), 0, whole, {2, 3, 4});
  for (size_t part = 0; part < 3; ++part) {
    const int32_t *sum = whole.sums(3) + 2 * part, *start = whole.starts(3) + 3 * part;
    EXPECT_EQ(start[0], -128 * sum[0]);
    EXPECT_EQ(start[1], -128 * sum[1]);
    EXPECT_EQ(start[2], -128 * (sum[0] + sum[1]));
  }
}

}  // namespace
}  // namespace tern::test
