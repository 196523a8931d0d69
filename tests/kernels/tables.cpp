#include "tests/kernels/tables.h"

#include <algorithm>
#include <cstdlib>

#include "tests/kernels/emulated.h"

namespace tern::test {

std::vector<NamedTable> named_tables() {
  std::vector<NamedTable> result;
  for (const Isa isa : kAllIsas) {
    result.push_back({std::string(isa_name(isa)), isa_available(isa) ? &tern::kernels(isa) : nullptr});
  }
  result.push_back({"avx512_emulated", nullptr});
  result.push_back({"avx512_bf16_emulated", nullptr});
#if defined(TERN_EMULATED_AVX512)
  if (isa_available(Isa::avx2)) {  // what the emulation is built on
    result[result.size() - 2].kernels = &emulated_avx512_kernels;
    result[result.size() - 1].kernels = &emulated_avx512_bf16_kernels;
  }
#endif
  return result;
}

std::vector<std::string> table_names() {
  std::vector<std::string> names;
  for (const NamedTable& table : named_tables()) names.push_back(table.name);
  return names;
}

void EveryTable::SetUp() {
  for (const NamedTable& table : named_tables()) {
    if (table.name == GetParam()) table_ = table.kernels;
  }
  // Sanitizer builds leave the emulated tables out; elsewhere continuous integration must have them.
#if !defined(TERN_SANITIZED)
  const char* ci = std::getenv("CI");
  const bool emulated = GetParam().find("_emulated") != std::string::npos;
  if (table_ == nullptr && emulated && isa_available(Isa::avx2) && ci != nullptr &&
      std::string(ci) == "true") {
    FAIL() << GetParam() << ": built without SIMDe (libsimde-dev)";
  }
#endif
  if (table_ == nullptr) GTEST_SKIP() << GetParam() << ": not on this machine or in this build";
}

std::vector<float> random_floats(Rng& rng, size_t n, float scale) {
  std::vector<float> values(n);
  for (float& v : values) {
    v = static_cast<float>(rng.uniform() + rng.uniform() + rng.uniform() + rng.uniform() - 2) * 1.7f * scale;
  }
  return values;
}

testing::AssertionResult same(const std::vector<float>& a, const std::vector<float>& b) {
  if (a.size() != b.size())
    return testing::AssertionFailure() << a.size() << " and " << b.size() << " values";
  for (size_t i = 0; i < a.size(); ++i) {
    if (!same(a[i], b[i]))
      return testing::AssertionFailure() << "value " << i << ": " << a[i] << " and " << b[i];
  }
  return testing::AssertionSuccess();
}

size_t whole_blocks(DType type, size_t cols) {
  const size_t block = traits(type).block_size;
  return (cols + block - 1) / block * block;
}

std::vector<std::byte> random_blocks(DType type, size_t n, Rng& rng, std::optional<uint8_t> fill) {
  std::vector<std::byte> bytes(row_bytes(type, n));
  for (std::byte& b : bytes) b = fill ? std::byte{*fill} : static_cast<std::byte>(rng.below(256));
  each_half_scale(type, bytes.size(), [&](size_t at) {
    const uint16_t half = f32_to_f16(static_cast<float>((rng.uniform() - 0.3) * 0.1));
    std::memcpy(bytes.data() + at, &half, 2);
  });
  for (size_t at = 0; at < bytes.size() && type == DType::mxfp4; at += traits(type).block_bytes) {
    bytes[at] = static_cast<std::byte>(rng.between(118, 125));
  }
  return bytes;
}

Weights::Weights(DType type_, size_t rows_, size_t cols_, Rng& rng)
    : type(type_), rows(rows_), cols(cols_), file(rows_ * row_bytes(type_, cols_)), decoded(rows_ * cols_) {
  if (needs_quantized(type)) {
    file = random_blocks(type, decoded.size(), rng);
  } else {
    encode(type, random_floats(rng, decoded.size()).data(), decoded.size(), file.data());
  }
  decode(type, file.data(), decoded.size(), decoded.data());
  pack_file();
}

Weights::Weights(DType type_, size_t rows_, size_t cols_, const std::vector<float>& values)
    : type(type_), rows(rows_), cols(cols_), file(rows_ * row_bytes(type_, cols_)), decoded(rows_ * cols_) {
  encode(type, values.data(), values.size(), file.data());
  decode(type, file.data(), values.size(), decoded.data());
  pack_file();
}

Weights::Weights(const Weights& shape, const std::vector<std::byte>& new_file)
    : type(shape.type), rows(shape.rows), cols(shape.cols), file(new_file), decoded(shape.rows * shape.cols) {
  decode(type, file.data(), decoded.size(), decoded.data());
  pack_file();
}

void Weights::pack_file() {
  packed_.resize(packed_bytes(type, rows, cols) / sizeof(Line));
  pack(type, file.data(), rows, cols, reinterpret_cast<std::byte*>(packed_.data()));
}

PackedMatrix Weights::matrix() const {
  return {type, rows, cols, reinterpret_cast<const std::byte*>(packed_.data())};
}

std::vector<float> run_matmul(const Kernels& kernels, const Weights& w, const std::vector<float>& x,
                              size_t tokens, size_t panels_a_call) {
  Grid input(tokens, w.cols, w.cols + 3), output(tokens, w.rows, w.rows + 5);
  input.fill(x);
  Activations activations;
  activations.reserve(tokens, w.cols);
  activations.set(kernels, input.data(), input.stride(), tokens, w.cols, needs_quantized(w.type));
  const PackedMatrix matrix = w.matrix();
  for (size_t p = 0; p < matrix.panels(); p += panels_a_call) {
    kernels.matmul(matrix, activations, output.data(), output.stride(), p,
                   std::min(p + panels_a_call, matrix.panels()), false);
  }
  EXPECT_TRUE(output.check());
  return output.values();
}

}  // namespace tern::test
