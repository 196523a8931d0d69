// What a model says of itself, and that a forward pass takes no memory.
#include <gtest/gtest.h>

#include "model/decoder.h"
#include "tests/allocations.h"
#include "tests/model/oracles.h"
#include "tests/model/runner.h"
#include "tests/model/tiny_file.h"

namespace tern {
namespace {

TEST(Shape, CountsOfTheRealModels) {
  DecoderShape lite{.vocab = 102400, .hidden = 2048, .layers = 27, .dense_layers = 1, .expert_ff = 1408};
  lite.router = {.experts = 64, .used = 6};
  EXPECT_NEAR(double(active_weights(lite, 15706484224, false)), 2.4e9, 0.06e9);
  DecoderShape v3{.vocab = 129280, .hidden = 7168, .layers = 61, .dense_layers = 3, .expert_ff = 2048};
  v3.router = {.experts = 256, .used = 8};
  EXPECT_NEAR(double(active_weights(v3, 671026419200, false)), 37e9, 0.5e9);
}

TEST(Shape, OfATinyModel) {
  const TinyConfig config{.tied = true};
  const TinyFile file = tiny_file(config);
  const std::vector<std::byte> bytes = file.bytes();
  const auto model = load_model(GgufFile::parse(bytes, "tiny"), {});
  const ModelShape& shape = model->shape();
  uint64_t weights = 0;
  for (const TinyTensor& tensor : file.tensors) weights += tensor.values.size();
  EXPECT_EQ(shape.architecture, "deepseek2");
  EXPECT_EQ(shape.vocab, 48);
  EXPECT_EQ(shape.hidden, 32);
  EXPECT_EQ(shape.layers, 2);
  EXPECT_EQ(shape.context, 512);
  EXPECT_EQ(shape.cache_type, CacheType::f32);
  EXPECT_EQ(shape.cache_layer_bytes, 32 * (40 + 32) * sizeof(float));  // latents with their keys, and latents
  EXPECT_EQ(shape.weights, weights);
  EXPECT_EQ(shape.active_weights, weights - 5 * 3 * 32 * 32);  // five of eight experts idle in one layer
  EXPECT_GT(shape.packed_bytes, weights * 4);
}

void expect_measured_as_loaded(const GgufFile& file, const std::string& what) {
  const ModelShape measured = measure_model(file);
  const ModelShape loaded = load_model(file, {})->shape();
  EXPECT_EQ(measured.packed_bytes, loaded.packed_bytes) << what;
  EXPECT_EQ(measured.weights, loaded.weights) << what;
  EXPECT_EQ(measured.active_weights, loaded.active_weights) << what;
  EXPECT_EQ(measured.vocab, loaded.vocab) << what;
  EXPECT_EQ(measured.layers, loaded.layers) << what;
  EXPECT_EQ(measured.context, loaded.context) << what;
  EXPECT_EQ(measured.cache_layer_bytes, loaded.cache_layer_bytes) << what;
}

TEST(Shape, MeasuredIsTheSameAsLoaded) {
  for (const std::string& name : oracle_names()) expect_measured_as_loaded(read_oracle(name).file, name);
  for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::q8_0}) {
    for (const bool split : {true, false}) {
      TinyFile tiny = tiny_file({.hidden = 64, .split = split});
      convert(tiny, [&](size_t) { return type; });
      const std::vector<std::byte> bytes = tiny.bytes();
      expect_measured_as_loaded(
          GgufFile::parse(bytes, "tiny"),
          std::string(ggml_type_name(static_cast<uint32_t>(type))) + (split ? "" : ", k and v together"));
    }
  }
}

TEST(Shape, MeasuringTakesNoMemoryForWeights) {
  const std::vector<std::byte> bytes = tiny_file({.vocab = 4096, .hidden = 256}).bytes();
  const GgufFile file = GgufFile::parse(bytes, "tiny");
  ThreadTeam alone(1);
  const auto weights =
      load_decoder_weights(file, read_deepseek2(file), false, alone, WeightMemory::counting());
  EXPECT_GT(weights->memory.bytes(), uint64_t{2} * 4096 * 256 * 4);
  EXPECT_EQ(weights->output.data, nullptr);
  EXPECT_EQ(std::get<MlaWeights>(weights->layers[0].attention).up_k[0].data, nullptr);
}

TEST(Paths, AreChosenByArithmetic) {
  const MlaShape v3{.heads = 128, .kv_rank = 512, .nope = 128, .rope = 64, .v = 128};
  // 512 tokens share each key that is decompressed: 512 (1088 - 320) is more than the 512 * 256 that it
  // takes.
  EXPECT_EQ(absorbed_from(v3), kNever);
  // (512 * 513 / 2) (1088 - 704) / (512 * 640 - 512 (1088 - 704)) = 384.75 tokens, and whole pages.
  EXPECT_EQ(absorbed_from({.heads = 4, .kv_rank = 512, .nope = 320, .rope = 64, .v = 320}), 416);
  // A latent that is hardly smaller than the keys is worth decompressing for ever.
  EXPECT_EQ(absorbed_from({.heads = 4, .kv_rank = 64, .nope = 32, .rope = 16, .v = 32}), kNever);
  // And one whose scores cost no more is never worth it.
  EXPECT_EQ(absorbed_from({.heads = 4, .kv_rank = 32, .nope = 32, .rope = 16, .v = 32}), 0);
}

TEST(Forward, TakesNoMemory) {
  TinyFile file = tiny_file({});
  convert(file, [](size_t index) { return index % 2 ? DType::q8_0 : DType::f32; });
  const std::vector<std::byte> bytes = file.bytes();
  for (const AttentionPath path : {AttentionPath::absorbed, AttentionPath::decompressed}) {
    const auto model =
        load_model(GgufFile::parse(bytes, "tiny"), {.threads = 2, .max_batch = 64, .attention = path});
    PagedCache cache = cache_for(*model);
    ASSERT_TRUE(cache.extend(0, 70));
    std::vector<float> logits(48 * 64);
    std::vector<BatchToken> batch;
    for (int i = 0; i < 64; ++i) batch.push_back({i % 48, i, 0, true});
    watch_allocations();
    model->forward(batch, cache, logits.data());
    for (int i = 64; i < 70; ++i) {
      const BatchToken token{1, i, 0, true};
      model->forward({&token, 1}, cache, logits.data());
    }
    EXPECT_EQ(allocations().count, 0u);
  }
}

}  // namespace
}  // namespace tern
