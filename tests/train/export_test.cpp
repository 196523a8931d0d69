// The trainer's forward against tern's engine on the exported file.
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <cstring>

#include "files/gguf.h"
#include "files/safetensors.h"
#include "model/model.h"
#include "tests/expect_error.h"
#include "tests/temporary_folder.h"
#include "tests/train/numerics.h"
#include "tests/train/tiny.h"
#include "text/chat.h"
#include "train/dense.h"
#include "train/export.h"

namespace tern::train {
namespace {

const std::vector<int64_t> tokens{1, 17, 250, 3, 3, 99, 280, 4, 64, 5, 1, 0, 298};

Vocabulary vocabulary() {
  const std::vector<std::string> lines(50, "cheap red trainers max 60 velora shoes sport cheapest first");
  return tern_vocabulary(lines, 300);
}

/// A model whose selection biases matter.
std::unique_ptr<Network> biased(const ModelConfig& config) {
  auto network = make_network(config, at::TensorOptions(at::kFloat), 11);
  at::manual_seed(12);
  for (const auto& [name, bias] : network->buffers()) bias.copy_(at::rand(bias.sizes()));
  return network;
}

at::Tensor trainer_logits(Network& network) {
  const c10::NoGradGuard no_grad;
  const Sequences sequences({0, static_cast<int64_t>(tokens.size())}, at::kCPU);
  return at::mm(network.hidden(at::tensor(tokens, at::kLong), sequences), network.output().t());
}

at::Tensor engine_logits(const std::string& path, int64_t vocab) {
  const auto model = load_model(GgufFile::open(path), {});
  PagedCache cache({model->shape().cache_layers, model->shape().cache_layer_bytes, 4, 1, 128});
  EXPECT_TRUE(cache.extend(0, static_cast<int>(tokens.size())));
  std::vector<BatchToken> batch;
  for (size_t i = 0; i < tokens.size(); ++i) {
    batch.push_back({static_cast<int32_t>(tokens[i]), static_cast<int32_t>(i), 0, true});
  }
  at::Tensor logits = at::empty({static_cast<int64_t>(tokens.size()), vocab});
  model->forward(batch, cache, logits.data_ptr<float>());
  return logits;
}

TEST(Export, TheEngineComputesTheTrainersLogits) {
  for (const bool tied : {false, true}) {
    for (const int64_t dense_layers : {0, 1}) {
      ModelConfig config = tiny_deepseek();
      config.tied = tied;
      config.dense_layers = dense_layers;
      const auto network = biased(config);
      const TemporaryFolder folder;
      const at::Tensor expected = trainer_logits(*network);
      Config whole;
      whole.model = config;
      const auto error = [&](const char* type) {
        export_gguf(*network, vocabulary(), whole, type, folder / "model.gguf");
        return relative_error(engine_logits(folder / "model.gguf", config.vocab_size), expected);
      };
      EXPECT_LT(error("F32"), 1e-4) << "tied " << tied << ", " << dense_layers << " dense layers";
      EXPECT_LT(error("F16"), 2e-2);
      EXPECT_LT(error("Q8_0"), 0.25) << "random weights: near ties of the router may flip";
    }
  }
}

TEST(Export, UnknownTypeIsRefused) {
  Config config;
  config.model = tiny_deepseek();
  const auto network = biased(config.model);
  expect_error(ErrorKind::bad_input, {"Q9", "Q8_0"},
               [&] { export_gguf(*network, vocabulary(), config, "Q9", "/nowhere"); });
}

TEST(Export, GgufHasWhatLlamaCppDemands) {
  const TemporaryFolder folder;
  Config config;
  config.model = tiny_deepseek();
  export_gguf(*biased(config.model), vocabulary(), config, "Q8_0", folder / "model.gguf");
  const GgufFile file = GgufFile::open(folder / "model.gguf");
  EXPECT_EQ(file.get_string("general.architecture"), "deepseek2");
  EXPECT_EQ(file.get_uint("deepseek2.attention.key_length"), 40u);
  EXPECT_EQ(file.get_uint("deepseek2.attention.value_length"), 32u);
  EXPECT_EQ(file.get_uint("deepseek2.attention.head_count_kv"), 1u);
  EXPECT_EQ(file.get_uint("deepseek2.expert_gating_func"), 2u);
  EXPECT_TRUE(file.bool_or("deepseek2.expert_weights_norm", false));
  EXPECT_EQ(file.tensor("blk.1.ffn_gate_exps.weight").dims, (std::vector<uint64_t>{32, 32, 6}));
  EXPECT_EQ(file.tensor("blk.1.attn_k_b.weight").dims, (std::vector<uint64_t>{32, 32, 4}));
  EXPECT_EQ(file.tensor("blk.1.ffn_gate_inp.weight").dtype(), DType::f32);
  EXPECT_EQ(file.tensor("blk.1.ffn_down_exps.weight").dtype(), DType::q8_0);
}

TEST(Export, LlamaRowsPermuteAndComeBack) {
  const at::Tensor rows = at::arange(48, at::kFloat).view({16, 3});
  const at::Tensor split = to_half_split(rows, 2);
  EXPECT_TRUE(at::equal(split[1], rows[2]));  // the second pair's first element
  EXPECT_TRUE(at::equal(split[4], rows[1]));  // the first pair's second element
  EXPECT_TRUE(at::equal(to_neighbours(split, 2), rows));

  const TemporaryFolder folder;
  Config config;
  config.model = tiny_llama();
  const auto network = make_network(config.model, at::TensorOptions(at::kFloat), 1);
  export_gguf(*network, vocabulary(), config, "F32", folder / "model.gguf");
  const GgufFile file = GgufFile::open(folder / "model.gguf");
  EXPECT_EQ(file.get_uint("llama.attention.head_count_kv"), 2u);
  const at::Tensor queries =
      network->parameters()[2].narrow(0, 0, 32).detach();  // {heads * head_dim, hidden}
  const auto bytes = file.tensor("blk.0.attn_q.weight").data;
  ASSERT_EQ(bytes.size(), queries.numel() * sizeof(float));
  EXPECT_EQ(std::memcmp(bytes.data(), queries.contiguous().data_ptr(), bytes.size()), 0)
      << "GGUF's llama rotates neighbours, as the trainer does";
}

}  // namespace
}  // namespace tern::train
