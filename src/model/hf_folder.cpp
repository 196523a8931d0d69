#include "model/hf_folder.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/atomic_file.h"
#include "base/error.h"
#include "files/printable.h"
#include "model/hf_families.h"

namespace tern {
namespace {

namespace fs = std::filesystem;

constexpr size_t most_config_bytes = size_t{4} << 20;
constexpr size_t most_index_bytes = size_t{128} << 20;  // a megabyte names about eight thousand tensors

struct Family {
  std::string_view hf;    ///< config.json's `architectures`
  std::string_view gguf;  ///< `general.architecture`
  void (*assemble)(HfAssembly& to);
};

constexpr Family families[] = {
    {"DeepseekV2ForCausalLM", "deepseek2", assemble_deepseek_v2},
    {"DeepseekV3ForCausalLM", "deepseek2", assemble_deepseek_v3},
    {"Glm4MoeLiteForCausalLM", "deepseek2", assemble_deepseek_v3},
    {"LlamaForCausalLM", "llama", assemble_llama},
    {"MistralForCausalLM", "llama", assemble_mistral},
    {"Qwen2ForCausalLM", "qwen2", assemble_qwen2},
    {"Qwen3ForCausalLM", "qwen3", assemble_qwen3},
    {"Qwen3MoeForCausalLM", "qwen3moe", assemble_qwen3moe},
    {"GptOssForCausalLM", "gpt-oss", assemble_gpt_oss},
};

const Family& family_of(const HfConfig& config) {
  const std::vector<std::string> names = config.strings("architectures");
  if (names.size() != 1) {
    fail(ErrorKind::bad_input, "{}: architectures: expected one, found {}", config.name(), names.size());
  }
  std::string known;
  for (const Family& family : families) {
    if (family.hf == names[0]) return family;
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.hf);
  }
  fail(ErrorKind::unsupported, "{}: architecture {} is not supported; tern reads {}", config.name(),
       printable(names[0]), known);
}

struct Blocks {
  uint64_t rows = 0, cols = 0;
};

/// The blocks of FP8 weights, 0 by 0 where the checkpoint has none.
Blocks quantization_blocks(const HfConfig& config, const Family& family) {
  if (!config.has("quantization_config")) return {};
  const HfConfig quantization = config.section("quantization_config");
  const std::string method = quantization.string_or("quant_method", "");
  if (method == "mxfp4" && family.gguf == "gpt-oss") return {};
  if (method != "fp8") quantization.refuse("quant_method", "tern reads fp8 in blocks, and mxfp4 of gpt-oss");
  quantization.expect_text("fmt", "e4m3");
  const std::vector<uint64_t> block = quantization.uints("weight_block_size");
  if (block.size() != 2 || block[0] == 0 || block[1] == 0)
    quantization.refuse("weight_block_size", "tern reads fp8 in two-dimensional blocks");
  return {block[0], block[1]};
}

/// The files that model.safetensors.index.json names, each once and inside the folder.
std::map<std::string, std::set<std::string>> read_index(const std::string& path) {
  const std::string text = read_file(path, most_index_bytes);
  nlohmann::json index;
  try {
    // Deeper than {"weight_map": {"tensor": "file"}} nothing is of interest, so nothing is kept.
    index = nlohmann::json::parse(text, [](int depth, auto, auto&) { return depth <= 2; });
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::bad_input, "{}: expected JSON: {}", path, error.what());
  }
  const auto map = index.is_object() ? index.find("weight_map") : index.end();
  if (map == index.end() || !map->is_object() || map->empty())
    fail(ErrorKind::bad_input, "{}: expected an object weight_map of tensors and their files", path);
  std::map<std::string, std::set<std::string>> files;
  for (const auto& [tensor, file] : map->items()) {
    if (!file.is_string() || fs::path(file.get<std::string>()).filename() != file.get<std::string>())
      fail(ErrorKind::bad_input, "{}: tensor {}: expected the name of a file in the folder", path,
           printable(tensor));
    files[file.get<std::string>()].insert(tensor);
  }
  return files;
}

void check_against_index(const SafetensorsFile& file, const std::string& path,
                         const std::set<std::string>& tensors) {
  for (const std::string& tensor : tensors) file.tensor(tensor);  // throws where it is missing
  for (const auto& [tensor, content] : file.tensors()) {
    if (!tensors.contains(tensor)) {
      fail(ErrorKind::bad_input, "{}: tensor {}: the index does not place it in this file", path,
           printable(tensor));
    }
  }
}

std::vector<SafetensorsFile> open_weights(const std::string& folder) {
  const std::string index = folder + "/model.safetensors.index.json", single = folder + "/model.safetensors";
  std::vector<SafetensorsFile> files;
  if (!fs::exists(index)) {
    if (!fs::exists(single)) {
      fail(ErrorKind::io, "{}: expected model.safetensors or model.safetensors.index.json, found neither",
           folder);
    }
    files.push_back(SafetensorsFile::open(single));
    return files;
  }
  for (const auto& [name, tensors] : read_index(index)) {
    const std::string path = folder + "/" + name;
    files.push_back(SafetensorsFile::open(path));
    check_against_index(files.back(), path, tensors);
  }
  return files;
}

/// The folder's own name, "." and trailing slashes resolved.
std::string model_name(const std::string& folder) {
  const fs::path path = fs::weakly_canonical(folder);
  return (path.has_filename() ? path : path.parent_path()).filename().string();
}

}  // namespace

GgufFile assemble_hf(const std::string& name, const HfConfig& config,
                     const std::vector<SafetensorsFile>& files, std::shared_ptr<const void> keep) {
  const Family& family = family_of(config);
  const Blocks blocks = quantization_blocks(config, family);
  HfTensors tensors(name, files, blocks.rows, blocks.cols);
  HfAssembly assembly(std::string(family.gguf), config, tensors);
  assembly.general("architecture", std::string(family.gguf));
  assembly.general("type", std::string("model"));
  assembly.general("name", model_name(name));
  family.assemble(assembly);
  return assembly.finish(name, std::move(keep));
}

bool is_hf_folder(const std::string& path) {
  return fs::is_directory(path);
}

GgufFile open_hf_folder(const std::string& folder) {
  const std::string path = folder + "/config.json";
  const HfConfig config = HfConfig::parse(read_file(path, most_config_bytes), path);
  family_of(config);  // before the weights: a folder of another kind is refused for what it is
  auto files = std::make_shared<std::vector<SafetensorsFile>>(open_weights(folder));
  GgufFile file = assemble_hf(folder, config, *files, files);
  file.set_folder(folder);
  return file;
}

GgufFile open_model_file(const std::string& path) {
  return is_hf_folder(path) ? open_hf_folder(path) : GgufFile::open(path);
}

}  // namespace tern
