#include "measure/inspect.h"

#include <algorithm>

#include "base/error.h"
#include "engine/engine.h"
#include "text/chat.h"
#include "text/vocabulary.h"

namespace tern {
namespace {

bool is_routed_expert(const GgufTensor& tensor) {
  return tensor.name.find("_exps.") != std::string::npos;
}

void count_tensors(const GgufFile& file, Inspection& result) {
  const bool tied = !file.find_tensor("output.weight");
  for (const GgufTensor& tensor : file.tensors()) {
    const uint64_t elements = tensor.elements();
    TypeCount& count = result.types[std::string(ggml_type_name(tensor.ggml_type))];
    ++count.tensors;
    count.weights += elements;
    count.bytes += tensor.data.size();
    result.weights += elements;
    if (is_routed_expert(tensor) && result.experts > 0) {
      result.active_weights += elements / result.experts * result.experts_used;
    } else if (tensor.name != "token_embd.weight" || tied) {
      result.active_weights += elements;  // of an untied embedding one row is read, which counts as nothing
    }
  }
}

void read_shape(const GgufFile& file, Inspection& result) {
  const std::string& arch = result.architecture;
  const auto number = [&](const char* key) { return file.uint_or(arch + "." + key, 0); };
  result.layers = number("block_count");
  result.hidden = number("embedding_length");
  result.heads = number("attention.head_count");
  result.context = number("context_length");
  result.query_rank = number("attention.q_lora_rank");
  result.kv_rank = number("attention.kv_lora_rank");
  result.experts = number("expert_count");
  result.experts_used = number("expert_used_count");
  result.experts_shared = number("expert_shared_count");
  result.expert_groups = number("expert_group_count");
  result.dense_layers = number("leading_dense_block_count");
  if (result.experts > 0) result.gate = number("expert_gating_func") == 2 ? "sigmoid" : "softmax";
}

void read_text(const GgufFile& file, Inspection& result) {
  result.tokenizer = file.string_or("tokenizer.ggml.model", "");
  result.pre_tokenizer = file.string_or("tokenizer.ggml.pre", "");
  result.chat_template = file.string_or("tokenizer.chat_template", "");
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding && embedding->dims.size() == 2) result.vocab = embedding->dims[1];
  if (!file.find("tokenizer.ggml.tokens")) return;
  const auto& tokens = file.get_strings("tokenizer.ggml.tokens");
  result.vocab = tokens.size();
  const auto has = [&](const char* token) {
    return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
  };
  result.thinks = has(kThinkToken) && has(kEndThinkToken);
}

uint64_t cache_bytes(const ModelShape& model, int sequences) {
  const int pages = sequences * PagedCache::pages_for(model.context);
  return PagedCache::bytes_for({model.cache_layers, model.cache_row, pages, sequences, model.context});
}

/// What running the model takes; throws what loading it would.
void measure_memory(const GgufFile& file, Inspection& result) {
  const ModelShape model = measure_model(file);
  const int sequences = EngineOptions{}.parallel;
  result.cache_memory = cache_bytes(model, sequences);
  result.cache_full_context = cache_bytes(model, 1);
  result.cache_bytes_per_token = uint64_t{4} * model.cache_row * model.cache_layers;
  result.cache_sequences = sequences;
  result.weights_memory = model.packed_bytes;
  result.active_weights = model.active_weights;
}

/// The message of what `call` throws, without the file's name; "" where it throws nothing.
template <typename Call>
std::string complaint(const GgufFile& file, Call&& call) {
  try {
    call();
    return "";
  } catch (const Error& error) {
    const std::string message = error.what(), start = file.name() + ": ";
    return message.starts_with(start) ? message.substr(start.size()) : message;
  }
}

std::string refusal(const GgufFile& file, Inspection& result) {
  const std::string model = complaint(file, [&] { measure_memory(file, result); });
  if (!model.empty()) return model;
  const std::string tokenizer = complaint(file, [&] { Tokenizer(read_vocabulary(file)); });
  if (tokenizer.empty()) return "";
  const bool has_one = file.find("tokenizer.ggml.model") != nullptr;
  return fmt::format("the model could run, but {} ({})",
                     has_one ? "tern can't use the file's tokenizer" : "the file has no tokenizer",
                     tokenizer);
}

std::string bytes_text(uint64_t bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) value /= 1024, ++unit;
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : 1, units[unit]);
}

std::string count_text(uint64_t count) {
  const double value = static_cast<double>(count);
  if (value >= 1e9) return fmt::format("{:.2f} B", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  return fmt::format("{}", count);
}

}  // namespace

Inspection inspect(const GgufFile& file) {
  Inspection result;
  result.file = file.name();
  result.gguf_version = file.version();
  result.file_bytes = file.file_bytes();
  result.architecture = file.string_or("general.architecture", "");
  result.model_name = file.string_or("general.name", "");
  read_shape(file, result);
  count_tensors(file, result);
  read_text(file, result);
  result.refused = refusal(file, result);
  return result;
}

std::string to_text(const Inspection& i) {
  std::string out;
  const auto line = [&](const char* name, const std::string& value) {
    if (!value.empty()) out += fmt::format("{:<14}{}\n", name, value);
  };
  line("file", fmt::format("{}, GGUF {}, {}", i.file, i.gguf_version, bytes_text(i.file_bytes)));
  line("model", i.model_name);
  line("architecture", i.architecture);
  line("runs here", i.refused.empty() ? "yes" : "no: " + i.refused);
  line("weights",
       fmt::format("{} in all, {} used for a token", count_text(i.weights), count_text(i.active_weights)));
  line("shape", fmt::format("{} layers of {}, {} heads, context {}, vocabulary {}", i.layers, i.hidden,
                            i.heads, i.context, i.vocab));
  if (i.kv_rank)
    line("attention", fmt::format("latent of rank {}, query {}", i.kv_rank,
                                  i.query_rank ? fmt::format("of rank {}", i.query_rank) : "whole"));
  if (i.experts) {
    line("experts",
         fmt::format("{} routed ({} used) + {} shared, {} gate{}, {} leading dense layer(s)", i.experts,
                     i.experts_used, i.experts_shared, i.gate,
                     i.expert_groups > 1 ? fmt::format(", {} groups", i.expert_groups) : "", i.dense_layers));
  }
  for (const auto& [name, count] : i.types) {
    line(("type " + name).c_str(), fmt::format("{} tensors, {} weights, {}", count.tensors,
                                               count_text(count.weights), bytes_text(count.bytes)));
  }
  if (!i.tokenizer.empty())
    line("tokenizer",
         fmt::format("{}{}{}", i.tokenizer, i.pre_tokenizer.empty() ? "" : ", " + i.pre_tokenizer,
                     i.thinks ? ", thinks" : ""));
  line("template", i.chat_template.empty() ? "none" : fmt::format("{} bytes", i.chat_template.size()));
  if (i.cache_sequences == 0) return out;  // nobody knows what a refused model would take
  line("memory", fmt::format("{} of weights + {} of cache; the buffers of a batch come on top",
                             bytes_text(i.weights_memory), bytes_text(i.cache_memory)));
  line("cache", fmt::format("for {} sequences of {} tokens, the default of tern serve: {} a token, {} each",
                            i.cache_sequences, i.context, bytes_text(i.cache_bytes_per_token),
                            bytes_text(i.cache_full_context)));
  return out;
}

nlohmann::ordered_json to_json(const Inspection& i) {
  nlohmann::ordered_json types = nlohmann::ordered_json::object();
  for (const auto& [name, count] : i.types) {
    types[name] = {{"tensors", count.tensors}, {"weights", count.weights}, {"bytes", count.bytes}};
  }
  nlohmann::ordered_json memory;  // null where nobody knows what a refused model would take
  if (i.cache_sequences > 0) {
    memory = {{"weights", i.weights_memory},
              {"cache", i.cache_memory},
              {"cache_sequences", i.cache_sequences},
              {"cache_per_token", i.cache_bytes_per_token},
              {"cache_full_context", i.cache_full_context}};
  }
  return {{"file", i.file},
          {"gguf_version", i.gguf_version},
          {"file_bytes", i.file_bytes},
          {"architecture", i.architecture},
          {"name", i.model_name},
          {"runs", i.refused.empty()},
          {"refused", i.refused},
          {"weights", i.weights},
          {"active_weights", i.active_weights},
          {"layers", i.layers},
          {"hidden", i.hidden},
          {"heads", i.heads},
          {"context", i.context},
          {"vocab", i.vocab},
          {"query_rank", i.query_rank},
          {"kv_rank", i.kv_rank},
          {"experts",
           {{"routed", i.experts},
            {"used", i.experts_used},
            {"shared", i.experts_shared},
            {"groups", i.expert_groups},
            {"gate", i.gate},
            {"leading_dense_layers", i.dense_layers}}},
          {"types", types},
          {"tokenizer", {{"model", i.tokenizer}, {"pre", i.pre_tokenizer}, {"thinks", i.thinks}}},
          {"chat_template", i.chat_template},
          {"memory", memory}};
}

}  // namespace tern
