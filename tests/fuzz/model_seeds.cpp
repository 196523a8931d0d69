#include "tests/fuzz/model_seeds.h"

#include <fmt/format.h>

#include "files/gguf.h"
#include "tests/model/tiny_checkpoint.h"

namespace tern {
namespace {

std::string config_input(const TinyCheckpoint& checkpoint) {
  std::string text = checkpoint.config.dump();
  text += '\0';
  for (const auto& [name, tensor] : checkpoint.tensors) {
    text += fmt::format("{} {}", name, tensor.dtype);
    for (const uint64_t dim : tensor.shape) text += fmt::format(" {}", dim);
    text += '\n';
  }
  return text;
}

TinyCheckpoint fp8_llama() {
  TinyCheckpoint c = tiny_llama();
  c.config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {10, 7}}};
  const std::string name = "model.layers.0.mlp.gate_proj.weight";
  c.add_bytes(name, {24, 16}, "F8_E4M3", std::vector<std::byte>(24 * 16));
  c.add(name + "_scale_inv", {3, 3});
  c.config["rope_scaling"] = {{"rope_type", "llama3"},
                              {"factor", 8.0},
                              {"low_freq_factor", 1.0},
                              {"high_freq_factor", 4.0},
                              {"original_max_position_embeddings", 8192}};
  return c;
}

std::string piece(int number, int count, int tensors, const std::string& tensor) {
  GgufWriter writer;
  if (number == 0) writer.add_string("general.architecture", "llama");
  writer.add_u16("split.no", static_cast<uint16_t>(number));
  writer.add_u16("split.count", static_cast<uint16_t>(count));
  writer.add_i32("split.tensors.count", tensors);
  writer.add_tensor(tensor, DType::f32, {2}, std::vector<std::byte>(8));
  const auto bytes = writer.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string split_input(const std::vector<std::string>& pieces) {
  std::string text(1, static_cast<char>(pieces.size()));
  for (const std::string& bytes : pieces) {
    text += static_cast<char>(bytes.size() & 255);
    text += static_cast<char>(bytes.size() >> 8);
  }
  for (const std::string& bytes : pieces) text += bytes;
  return text;
}

}  // namespace

Seeds config_seeds() {
  Seeds seeds = {{"llama", config_input(tiny_llama())},
                 {"mistral", config_input(tiny_mistral())},
                 {"qwen2", config_input(tiny_qwen2())},
                 {"qwen3", config_input(tiny_qwen3())},
                 {"qwen3moe", config_input(tiny_qwen3moe())},
                 {"gpt_oss_blocks", config_input(tiny_gpt_oss(true))},
                 {"gpt_oss_bf16", config_input(tiny_gpt_oss(false))},
                 {"deepseek_v2", config_input(tiny_deepseek_v2())},
                 {"deepseek_v3", config_input(tiny_deepseek_v3())},
                 {"fp8_llama", config_input(fp8_llama())},
                 {"empty", ""},
                 {"deep", "{\"a\":" + std::string(4000, '[')},
                 {"not_utf8", "{\"architectures\":[\"\xff\xfe\"]}"}};
  for (const char* key : {"num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size", "head_dim",
                          "intermediate_size", "num_key_value_heads", "rms_norm_eps"}) {
    for (const char* value : {"0", "-1", "2147483647", "18446744073709551615", "1e308"}) {
      TinyCheckpoint c = tiny_llama();
      c.config[key] = nlohmann::json::parse(value);
      seeds.emplace_back(fmt::format("{}_{}", key, value), config_input(c));
    }
  }
  TinyCheckpoint experts = tiny_deepseek_v3();
  experts.config["n_routed_experts"] = 2147483647;
  seeds.emplace_back("experts", config_input(experts));
  return seeds;
}

Seeds split_seeds() {
  return {{"whole", split_input({piece(0, 3, 3, "a"), piece(1, 3, 3, "b"), piece(2, 3, 3, "c")})},
          {"one", split_input({piece(0, 1, 1, "a")})},
          {"twice", split_input({piece(0, 2, 2, "a"), piece(1, 2, 2, "a")})},
          {"swapped", split_input({piece(1, 2, 2, "a"), piece(0, 2, 2, "b")})},
          {"too_many", split_input({piece(0, 65535, 2, "a"), piece(1, 65535, 2, "b")})},
          {"negative", split_input({piece(0, 2, -1, "a"), piece(1, 2, -1, "b")})},
          {"empty", ""}};
}

}  // namespace tern
