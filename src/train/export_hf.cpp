#include <ATen/ATen.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/atomic_file.h"
#include "files/safetensors.h"
#include "train/export.h"
#include "train/tensors.h"

namespace tern::train {

namespace {

using Json = nlohmann::ordered_json;

Json optional_id(const std::optional<int32_t>& id) {
  return id ? Json(*id) : Json(nullptr);
}

Json model_json(const ModelConfig& c, const Vocabulary& vocabulary) {
  const bool llama = c.family == Family::llama;
  Json json{{"architectures", {llama ? "LlamaForCausalLM" : "DeepseekV3ForCausalLM"}},
            {"model_type", llama ? "llama" : "deepseek_v3"},
            {"vocab_size", c.vocab_size},
            {"hidden_size", c.hidden},
            {"intermediate_size", c.dense_ff},
            {"num_hidden_layers", c.layers},
            {"num_attention_heads", c.heads},
            {"num_key_value_heads", llama ? c.kv_heads : c.heads},
            {"hidden_act", "silu"},
            {"max_position_embeddings", c.context},
            {"rms_norm_eps", c.norm_eps},
            {"rope_theta", c.rope_theta},
            {"attention_bias", false},
            {"attention_dropout", 0.0},
            {"tie_word_embeddings", c.tied},
            {"bos_token_id", optional_id(vocabulary.bos)},
            {"eos_token_id", optional_id(vocabulary.eos)},
            {"torch_dtype", "float32"}};
  if (llama) {
    json["head_dim"] = c.head_dim;
    return json;
  }
  json.update(Json{{"q_lora_rank", c.query_rank},
                   {"kv_lora_rank", c.latent_rank},
                   {"qk_nope_head_dim", c.nope_dim},
                   {"qk_rope_head_dim", c.rope_dim},
                   {"v_head_dim", c.value_dim},
                   {"rope_interleave", true},
                   {"first_k_dense_replace", c.dense_layers},
                   {"moe_layer_freq", 1},
                   {"moe_intermediate_size", c.expert_ff},
                   {"n_routed_experts", c.experts},
                   {"n_shared_experts", c.shared_experts},
                   {"num_experts_per_tok", c.experts_used},
                   {"n_group", 1},
                   {"topk_group", 1},
                   {"norm_topk_prob", true},
                   {"routed_scaling_factor", c.expert_scale},
                   {"scoring_func", "sigmoid"},
                   {"topk_method", "noaux_tc"}});
  return json;
}

Json tokenizer_config_json(const ModelConfig& config, const Vocabulary& vocabulary) {
  const auto name = [&](const std::optional<int32_t>& id) {
    return id ? Json(vocabulary.tokens[static_cast<size_t>(*id)]) : Json(nullptr);
  };
  return Json{{"tokenizer_class", "PreTrainedTokenizerFast"},
              {"bos_token", name(vocabulary.bos)},
              {"eos_token", name(vocabulary.eos)},
              {"add_bos_token", vocabulary.add_bos},
              {"clean_up_tokenization_spaces", false},
              {"model_max_length", config.context},
              {"chat_template", vocabulary.chat_template}};
}

}  // namespace

void export_hugging_face(const Network& network, const Vocabulary& vocabulary, const Config& config,
                         const std::string& folder) {
  std::filesystem::create_directories(folder);
  const auto write_json = [&](const char* name, const Json& json) {
    write_file(folder + "/" + name, json.dump(2) + "\n");
  };
  write_json("config.json", model_json(config.model, vocabulary));
  write_json("generation_config.json", Json{{"bos_token_id", optional_id(vocabulary.bos)},
                                            {"eos_token_id", optional_id(vocabulary.eos)},
                                            {"do_sample", false}});
  write_json("tokenizer_config.json", tokenizer_config_json(config.model, vocabulary));
  write_file(folder + "/tokenizer.json", tokenizer_json(vocabulary));

  SafetensorsWriter weights;
  weights.add_metadata("format", "pt");
  for (const auto& [name, tensor] : network.named_tensors()) {
    weights.add(name, "F32", {tensor.sizes().begin(), tensor.sizes().end()}, tensor_bytes(tensor));
  }
  weights.write(folder + "/model.safetensors");
}

}  // namespace tern::train
