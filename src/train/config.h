// What a training run is made of: the TOML file's text as plain data.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace tern::train {

/// `deepseek` is a DeepSeek-V3-style Mixture-of-Experts model, `llama` its dense twin.
enum class Family { deepseek, llama };

/// Shapes of the model. Sizes of rows are multiples of 32, so that every matrix can be stored as Q8_0.
struct ModelConfig {
  Family family = Family::deepseek;
  int64_t vocab_size = 1024;
  int64_t hidden = 192;
  int64_t layers = 5;
  int64_t heads = 8;
  int64_t context = 1024;  ///< positions the exported model declares
  double rope_theta = 10000;
  double norm_eps = 1e-6;
  bool tied = false;  ///< the output matrix is the embedding

  // deepseek: multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1)
  int64_t query_rank = 96;
  int64_t latent_rank = 64;
  int64_t nope_dim = 32;
  int64_t rope_dim = 16;
  int64_t value_dim = 32;
  // deepseek: experts (DeepSeek-V3, arXiv 2412.19437, section 2.1.2)
  int64_t dense_layers = 1;
  int64_t dense_ff = 512;
  int64_t experts = 24;
  int64_t experts_used = 2;
  int64_t shared_experts = 1;
  int64_t expert_ff = 128;
  double expert_scale = 1.0;

  // llama: grouped-query attention, head size `head_dim`, feed-forward `dense_ff`
  int64_t kv_heads = 2;
  int64_t head_dim = 32;

  int64_t query_dim() const { return family == Family::llama ? head_dim : nope_dim + rope_dim; }
};

struct DataConfig {
  uint64_t seed = 1;
  int64_t tokens_per_step = 6144;
  int64_t max_tokens = 512;                                ///< longer examples are left out
  std::array<double, 5> noise{0.2, 0.25, 0.25, 0.2, 0.1};  ///< weights of noise levels 0 to 4
  double thinking_empty = 1.0 / 3;                         ///< share of examples without thinking
  double thinking_cut = 1.0 / 3;                           ///< share with thinking that is cut short
  int64_t vocabulary_lines = 20000;                        ///< examples the tokenizer is trained on
};

struct OptimizerConfig {
  double learning_rate = 2e-3;
  double final_ratio = 0.02;  ///< of the learning rate at the end of the cosine
  double warmup = 0.02;       ///< share of the run
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double weight_decay = 0.1;
  double clip = 1.0;           ///< largest norm of the whole gradient
  double balance_rate = 1e-3;  ///< of the sign rule on the selection bias (arXiv 2408.15664)
};

/// The run ends at whichever of `steps` and `minutes` comes first; 0 means no such limit, one must be given.
struct RunConfig {
  uint64_t seed = 1;
  int64_t steps = 0;
  double minutes = 0;
  double checkpoint_minutes = 4;
  int64_t log_every = 20;
  double probe_minutes = 10;  ///< between greedy answers to dev examples; 0: never
  int64_t probe_examples = 200;
  std::string export_type = "Q8_0";  ///< matrices of model.gguf: F32, F16, BF16, Q8_0
};

struct Config {
  std::string name = "tern-search";
  ModelConfig model;
  DataConfig data;
  OptimizerConfig optimizer;
  RunConfig run;
};

/// A key and its value as TOML writes it.
struct Setting {
  std::string key, value;
};

/// Reads a TOML text. Throws Error{bad_input} naming `where`, the line and the key for unknown keys, wrong
/// types and numbers out of range.
Config parse_config(const std::string& text, const std::string& where);
Config load_config(const std::string& path);

/// The whole config as TOML, defaults too; parse_config reads it back.
std::string config_text(const Config& config);

/// What a run keeps from its first step to its last: model.*, data.* and run.seed. The optimizer's settings
/// and the run's length may change.
std::vector<Setting> lasting_settings(const Config& config);

/// Throws Error{bad_input} where shapes don't fit together.
void check_config(const Config& config, const std::string& where);

}  // namespace tern::train
