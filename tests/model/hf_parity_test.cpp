// Hugging Face folders as transformers saves them (oracles/dumps/NAME/, weights in BF16) against its own
// logits of those weights, computed in float32; and as older versions of it wrote them: F32, in shards.
#include <gtest/gtest.h>

#include "base/atomic_file.h"
#include "model/hf_folder.h"
#include "tests/model/oracles.h"
#include "tests/model/runner.h"
#include "tests/model/tiny_checkpoint.h"
#include "tests/temporary_folder.h"

namespace tern {
namespace {

/// All but what transformers can't say, and a switch of Llama's that tern refuses in folders.
std::vector<std::string> folders() {
  std::vector<std::string> names = oracle_names();
  std::erase_if(names, [](const std::string& name) {
    return name.starts_with("paper_") || name == "llama_tied_linear_bias";
  });
  return names;
}

class HfParity : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Dumps, HfParity, testing::ValuesIn(folders()),
                         [](const auto& test) { return test.param; });

void expect_reference(const GgufFile& file, const Oracle& oracle, Isa isa) {
  Routes routes;
  const auto model =
      load_model(file, {.isa = isa, .threads = 2, .max_batch = 128, .router_observer = &routes});
  const double error = relative_error(run_fresh(*model, oracle.tokens, 128), oracle.bf16_logits);
  std::printf("%s, folder in %s, %s: relative error %.2g\n", oracle.name.c_str(),
              std::string(traits(file.tensor("token_embd.weight").dtype()).name).c_str(),
              std::string(isa_name(isa)).c_str(), error);
  EXPECT_LE(error, 1e-4);
  EXPECT_EQ(routes.all(), oracle.bf16_experts);
}

TEST_P(HfParity, AFolderOfTransformersSaysWhatTransformersSays) {
  const Oracle oracle = read_oracle(GetParam());
  const GgufFile file = open_hf_folder(dump_path(oracle.name));
  for (const Isa isa : kAllIsas) {
    if (isa == Isa::avx512_bf16) continue;  // it rounds activations beside BF16 weights: see bf16_test.cpp
    if (isa_available(isa)) expect_reference(file, oracle, isa);
  }
}

/// config.json as transformers 4 had it: RoPE in two keys, Qwen's experts under another name.
void use_older_names(nlohmann::json& config) {
  nlohmann::json rope = config.at("rope_parameters");
  config.erase("rope_parameters");
  config["rope_theta"] = rope.at("rope_theta");
  rope.erase("rope_theta");
  config["rope_scaling"] = rope.at("rope_type") == "default" ? nlohmann::json() : rope;
  if (config.at("model_type") != "qwen3_moe") return;
  config["num_experts"] = config.at("num_local_experts");
  config.erase("num_local_experts");
}

TinyCheckpoint older_folder(const std::string& folder) {
  TinyCheckpoint result;
  result.config = nlohmann::json::parse(read_file(folder + "/config.json"));
  use_older_names(result.config);
  const auto weights = SafetensorsFile::open(folder + "/model.safetensors");
  for (const auto& [name, tensor] : weights.tensors()) {
    std::vector<float> values(tensor.data.size() / sizeof(uint16_t));
    decode(DType::bf16, tensor.data.data(), values.size(), values.data());
    result.add(name, tensor.shape, values);
  }
  return result;
}

TEST_P(HfParity, SoDoesAnOlderFolderInF32) {
  const Oracle oracle = read_oracle(GetParam());
  const TemporaryFolder temporary;
  older_folder(dump_path(oracle.name)).write(temporary / "model", 2);
  const GgufFile file = open_hf_folder(temporary / "model");
  for (const Isa isa : kAllIsas) {
    if (isa_available(isa)) expect_reference(file, oracle, isa);
  }
}

}  // namespace
}  // namespace tern
