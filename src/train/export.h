// A trained model as files that others read: GGUF for tern and llama.cpp, a folder for transformers.
#pragma once

#include <string>

#include "text/vocabulary.h"
#include "train/config.h"
#include "train/network.h"

namespace tern::train {

/// Writes `out`/model.gguf and the folder `out`/hf.
void export_model(const Network& network, const Vocabulary& vocabulary, const Config& config,
                  const std::string& out);

/// A `deepseek2` or `llama` file whose matrices are of `type` (F32, F16, BF16, Q8_0; norms, routers and
/// biases stay F32, and so do matrices whose rows are no whole number of blocks).
void export_gguf(const Network& network, const Vocabulary& vocabulary, const Config& config,
                 const std::string& type, const std::string& path);

/// config.json, generation_config.json, model.safetensors, tokenizer.json, tokenizer_config.json, which
/// transformers loads as DeepseekV3ForCausalLM or LlamaForCausalLM.
void export_hugging_face(const Network& network, const Vocabulary& vocabulary, const Config& config,
                         const std::string& folder);

}  // namespace tern::train
