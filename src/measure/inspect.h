// What is in a model file, and the memory that running it will take.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <nlohmann/json.hpp>

#include "files/gguf.h"
#include "model/key_value_page.h"

namespace tern {

struct TypeCount {
  uint64_t tensors = 0, weights = 0, bytes = 0;
};

struct Inspection {
  std::string file, architecture, model_name;
  uint32_t gguf_version = 0;  ///< 0 for a Hugging Face folder
  uint64_t file_bytes = 0;
  uint64_t layers = 0, hidden = 0, heads = 0, context = 0, vocab = 0;
  uint64_t query_rank = 0, kv_rank = 0;  ///< 0 where the architecture has none
  uint64_t experts = 0, experts_used = 0, experts_shared = 0, dense_layers = 0, expert_groups = 0;
  uint64_t draft_layers = 0;                 ///< that predict further tokens
  std::string gate;                          ///< "softmax" or "sigmoid"; empty without experts
  uint64_t weights = 0, active_weights = 0;  ///< all, and those one token uses
  std::map<std::string, TypeCount> types;    ///< by the type's name
  std::string tokenizer, pre_tokenizer, chat_template;
  std::string
      template_refused;  ///< why a chat fails, and in which line; empty where it runs or there is none
  bool thinks = false;   ///< has <think> and </think>
  /// Bytes as the loader takes them; 0 where the model is refused.
  uint64_t weights_memory = 0;
  uint64_t cache_bytes_per_token = 0, cache_full_context = 0;
  uint64_t cache_memory = 0;  ///< for `cache_sequences` full contexts, which a server takes by default
  int cache_sequences = 0;
  uint64_t bytes_per_token = 0;  ///< of weights that the decoding of one token reads, in the file's types
  // Of this machine, from look_at_machine().
  uint64_t memory_available = 0;  ///< 0: not asked
  double read_bandwidth = 0;      ///< bytes a second; 0: not measured
  int cores = 0;
  std::string refused;  ///< why tern does not run it; empty where it does
};

/// Reads metadata and the tensor table only, and renders one question. Throws Error{bad_input} for metadata
/// of the wrong kind; what load_model and the tokenizer would throw becomes `refused`, and what the chat
/// template would, `template_refused`.
Inspection inspect(const GgufFile& file, CacheType cache = CacheType::automatic);

/// Adds what this machine has: memory, and unless `measure` is false its bandwidth, which takes 0.3 s.
void look_at_machine(Inspection& inspection, bool measure);

/// Tokens a second that one sequence can reach at most where `context` tokens stand before it: the time is
/// that of reading weights and cache. 0 where the bandwidth was not measured or the model is refused.
double decode_speed(const Inspection& inspection, uint64_t context);

/// What of the model has room in `memory_available`.
enum class Fit { unknown, no, one_sequence, all_sequences };
Fit fit_of(const Inspection& inspection);

std::string to_text(const Inspection& inspection);
nlohmann::ordered_json to_json(const Inspection& inspection);

}  // namespace tern
