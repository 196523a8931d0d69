// The families whose Hugging Face checkpoints tern reads: one function each, listed in hf_folder.cpp.
#pragma once

#include "model/hf_assembly.h"

namespace tern {

// Each adds its architecture's keys and all its tensors under the names that llama.cpp's converter gives
// them. Throws Error{bad_input | unsupported} naming the key of config.json or the tensor.

/// DeepSeek-V2: multi-head latent attention, softmax gate.
void assemble_deepseek_v2(HfAssembly& to);
/// DeepSeek-V3, R1, Kimi-K2, Moonlight, GigaChat3, GLM-4.7-Flash: sigmoid gate with a bias for choosing, and
/// layers that predict further tokens.
void assemble_deepseek_v3(HfAssembly& to);
/// Llama 2 and 3, Mistral: the rows of q and k are permuted to rotate neighbours.
void assemble_llama(HfAssembly& to);
void assemble_mistral(HfAssembly& to);
void assemble_qwen2(HfAssembly& to);
void assemble_qwen3(HfAssembly& to);
void assemble_qwen3moe(HfAssembly& to);
/// gpt-oss, its experts in MXFP4 or BF16.
void assemble_gpt_oss(HfAssembly& to);

}  // namespace tern
