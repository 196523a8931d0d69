#include "tests/model/oracles.h"

#include <cstring>

#include "files/safetensors.h"

namespace tern {

namespace {

std::string path_of(const std::string& file) {
  return TERN_SOURCE_DIR "/tests/model/oracles/dumps/" + file;
}

template <typename T>
std::vector<T> values(const SafeTensor& tensor) {
  std::vector<T> result(tensor.data.size() / sizeof(T));
  std::memcpy(result.data(), tensor.data.data(), tensor.data.size());
  return result;
}

}  // namespace

std::vector<std::string> oracle_names() {
  return {"v3",        "v3_no_q_rank_yarn",        "v3_dense2_linear",        "v2_greedy_yarn",
          "v2_groups", "paper_softmax_normalised", "paper_sigmoid_group_max", "paper_negative_bias",
          "llama2",    "llama3",                   "llama_tied_linear_bias",  "mistral",
          "qwen2",     "qwen2_tied_yarn",          "qwen3",                   "qwen3moe",
          "gpt_oss"};
}

Oracle read_oracle(const std::string& name) {
  const SafetensorsFile dump = SafetensorsFile::open(path_of(name + ".safetensors"));
  return {name, values<int32_t>(dump.tensor("tokens")), values<float>(dump.tensor("logits")),
          GgufFile::open(path_of(name + ".gguf"))};
}

}  // namespace tern
