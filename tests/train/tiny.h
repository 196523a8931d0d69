// Models and data small enough for tests.
#pragma once

#include "train/config.h"

namespace tern::train {

inline ModelConfig tiny_deepseek() {
  ModelConfig model;
  model.vocab_size = 300;
  model.hidden = 32;
  model.layers = 3;
  model.heads = 4;
  model.context = 512;
  model.query_rank = 32;
  model.latent_rank = 32;
  model.nope_dim = 32;
  model.rope_dim = 8;
  model.value_dim = 32;
  model.dense_ff = 64;
  model.experts = 6;
  model.experts_used = 2;
  model.shared_experts = 2;
  model.expert_ff = 32;
  model.expert_scale = 1.5;
  return model;
}

inline ModelConfig tiny_llama() {
  ModelConfig model = tiny_deepseek();
  model.family = Family::llama;
  model.kv_heads = 2;
  model.head_dim = 8;
  return model;
}

}  // namespace tern::train
