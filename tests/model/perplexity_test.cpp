// The embedded model and its dense twin: the perplexity that transformers gives the same text
// (oracles/make_perplexity.py), within 0.1%.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "files/safetensors.h"
#include "tests/model/runner.h"

namespace tern {
namespace {

template <typename T>
std::vector<T> values(const SafetensorsFile& dump, const char* name) {
  const auto bytes = dump.tensor(name).data;
  std::vector<T> result(bytes.size() / sizeof(T));
  std::memcpy(result.data(), bytes.data(), bytes.size());
  return result;
}

/// The same weights as F32.
GgufFile dequantised(const GgufFile& file) {
  std::vector<GgufTensor> tensors = file.tensors();
  for (GgufTensor& tensor : tensors) {
    const DType type = tensor.dtype();
    const auto own = tensor.data;
    const uint64_t n = tensor.elements();
    tensor.ggml_type = static_cast<uint32_t>(DType::f32);
    tensor.make = [own, type, n](std::span<std::byte> to) {
      std::vector<float> floats(n);
      decode(type, own.data(), n, floats.data());
      std::memcpy(to.data(), floats.data(), to.size());
    };
  }
  return GgufFile::assemble(file.name(), file.metadata(), std::move(tensors),
                            std::make_shared<GgufFile>(file));
}

/// -log p of each token given those before it, as the dump has it: 0 for a sequence's first.
std::vector<double> likelihoods(Model& model, std::span<const int32_t> tokens) {
  const size_t vocab = model.shape().vocab;
  const std::vector<float> logits = run_fresh(model, tokens, 256);
  std::vector<double> result(tokens.size());
  for (size_t i = 1; i < tokens.size(); ++i) {
    const float* row = logits.data() + (i - 1) * vocab;
    double sum = 0;
    for (size_t v = 0; v < vocab; ++v) sum += std::exp(double{row[v]});
    result[i] = std::log(sum) - row[tokens[i]];
  }
  return result;
}

class Perplexity : public testing::TestWithParam<const char*> {};

TEST_P(Perplexity, IsTransformersOnTheSameText) {
  const auto dump =
      SafetensorsFile::open(TERN_SOURCE_DIR "/tests/model/oracles/dumps/perplexity.safetensors");
  const auto tokens = values<int32_t>(dump, "tokens"), lengths = values<int32_t>(dump, "lengths");
  const std::vector<float> expected = values<float>(dump, GetParam());
  const double count = static_cast<double>(tokens.size() - lengths.size());
  double reference = 0;
  for (const float value : expected) reference += value;
  reference = std::exp(reference / count);

  const auto file = GgufFile::open(std::string(TERN_SOURCE_DIR "/models/") + GetParam() + ".gguf");
  for (const bool plain : {true, false}) {
    const auto model = load_model(plain ? dequantised(file) : file, {.threads = 2, .max_batch = 256});
    double sum = 0;
    size_t at = 0;
    for (const int32_t length : lengths) {
      for (const double value : likelihoods(*model, std::span(tokens).subspan(at, length))) sum += value;
      at += length;
    }
    const double perplexity = std::exp(sum / count);
    std::printf("%s, %s: perplexity %.5f, transformers %.5f\n", GetParam(), plain ? "F32" : "as it is",
                perplexity, reference);
    EXPECT_NEAR(perplexity / reference, 1, plain ? 1e-4 : 1e-3);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, Perplexity, testing::Values("search", "search-dense"), [](const auto& test) {
  return std::string(test.param) == "search" ? "search" : "search_dense";
});

}  // namespace
}  // namespace tern
