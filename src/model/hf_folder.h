// Models as their makers publish them: a folder with config.json and safetensors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "files/gguf.h"
#include "files/safetensors.h"
#include "model/hf_config.h"

namespace tern {

/// A Hugging Face folder (config.json, model.safetensors or model.safetensors.index.json and its shards) told
/// as the GGUF file that llama.cpp's converter would write of it: the same keys and tensor names, shapes and
/// types (F32, F16, BF16 as they are, FP8 as BF16, norms, biases and gates F32), without tokenizer keys.
/// Layers that predict further tokens are kept as `nextn.*`. Throws Error{io | bad_input | unsupported |
/// limit} naming the file and the key or tensor.
GgufFile open_hf_folder(const std::string& folder);

/// The same from memory: `config` and the tensors of `files`, which `keep` holds. Messages begin with `name`.
GgufFile assemble_hf(const std::string& name, const HfConfig& config,
                     const std::vector<SafetensorsFile>& files, std::shared_ptr<const void> keep);

/// A GGUF file, any piece of one in pieces, or a Hugging Face folder.
GgufFile open_model_file(const std::string& path);

bool is_hf_folder(const std::string& path);

}  // namespace tern
