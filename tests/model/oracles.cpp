#include "tests/model/oracles.h"

namespace tern {

std::string dump_path(const std::string& name) {
  return TERN_SOURCE_DIR "/tests/model/oracles/dumps/" + name;
}

std::vector<std::string> oracle_names() {
  return {"v3",
          "v3_no_q_rank_yarn",
          "v3_dense2_linear",
          "v2_greedy_yarn",
          "v2_groups",
          "paper_softmax_normalised",
          "paper_sigmoid_group_max",
          "paper_negative_bias",
          "llama2",
          "llama3",
          "llama_tied_linear",
          "llama_tied_linear_bias",
          "mistral",
          "qwen2",
          "qwen2_tied_yarn",
          "qwen3",
          "qwen3moe",
          "gpt_oss",
          "v3_draft",
          "glm4_lite"};
}

Oracle read_oracle(const std::string& name) {
  const auto dump = SafetensorsFile::open(dump_path(name + ".safetensors"));
  const bool sparse = dump.tensors().contains("bf16_experts");
  return {name,
          dumped<int32_t>(dump, "tokens"),
          dumped<float>(dump, "logits"),
          dumped<float>(dump, "bf16_logits"),
          sparse ? dumped<int32_t>(dump, "bf16_experts") : std::vector<int32_t>(),
          GgufFile::open(dump_path(name + ".gguf"))};
}

}  // namespace tern
