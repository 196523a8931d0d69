#include "measure/inspect.h"

#include <algorithm>

#include "base/checked.h"
#include "base/error.h"
#include "kernels/kernels.h"
#include "text/chat.h"

namespace tern {
namespace {

bool has_ending(std::string_view text, std::string_view ending) {
  return text.size() >= ending.size() && text.substr(text.size() - ending.size()) == ending;
}

bool is_routed_expert(const GgufTensor& tensor) {
  return tensor.name.find("_exps.") != std::string::npos;
}

/// Bytes of this tensor once loaded: matrices in packed panels, vectors as floats. The key half of MLA's
/// decompression is kept a second time, as floats, for prompts.
uint64_t loaded_bytes(const GgufTensor& tensor, DType type) {
  const uint64_t elements = tensor.elements();
  if (elements == 0) return 0;
  if (tensor.dims.size() < 2 || tensor.name == "token_embd.weight") return row_bytes(type, elements);
  const uint64_t cols = tensor.dims[0];
  uint64_t bytes = packed_bytes(type, elements / cols, cols);
  if (has_ending(tensor.name, "attn_k_b.weight")) bytes += 4 * elements;
  return bytes;
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
    const auto type = find_dtype(tensor.ggml_type);
    if (!type) {
      result.refused = fmt::format("{} has type {}, which tern does not run", tensor.name,
                                   ggml_type_name(tensor.ggml_type));
      continue;
    }
    result.weights_memory += loaded_bytes(tensor, type->type);
    if (tied && tensor.name == "token_embd.weight" && tensor.dims.size() == 2) {
      result.weights_memory += packed_bytes(type->type, tensor.dims[1], tensor.dims[0]);
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
  if (arch == "deepseek2") {
    const uint64_t row = checked_add(result.kv_rank, number("rope.dimension_count"), "cache row");
    result.cache_bytes_per_token = checked_mul(checked_mul(4, result.layers, "cache"), row, "cache");
    checked_mul(result.cache_bytes_per_token, result.context, "cache of a full context");
  }
}

void read_text(const GgufFile& file, Inspection& result) {
  result.tokenizer = file.string_or("tokenizer.ggml.model", "");
  result.pre_tokenizer = file.string_or("tokenizer.ggml.pre", "");
  result.chat_template = file.string_or("tokenizer.chat_template", "");
  if (!file.find("tokenizer.ggml.tokens")) return;
  const auto& tokens = file.get_strings("tokenizer.ggml.tokens");
  result.vocab = tokens.size();
  const auto has = [&](const char* token) {
    return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
  };
  result.thinks = has(kThinkToken) && has(kEndThinkToken);
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
  if (result.architecture != "deepseek2") {
    result.refused = result.architecture.empty()
                         ? "general.architecture is missing"
                         : fmt::format("architecture {} is not supported yet", result.architecture);
  }
  read_shape(file, result);
  count_tensors(file, result);
  read_text(file, result);
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
  line("memory",
       fmt::format("{} of weights{}", bytes_text(i.weights_memory),
                   i.cache_bytes_per_token ? fmt::format(" + {} of cache a token ({} for one full context)",
                                                         bytes_text(i.cache_bytes_per_token),
                                                         bytes_text(i.cache_bytes_per_token * i.context))
                                           : ""));
  return out;
}

nlohmann::ordered_json to_json(const Inspection& i) {
  nlohmann::ordered_json types = nlohmann::ordered_json::object();
  for (const auto& [name, count] : i.types) {
    types[name] = {{"tensors", count.tensors}, {"weights", count.weights}, {"bytes", count.bytes}};
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
          {"memory",
           {{"weights", i.weights_memory},
            {"cache_per_token", i.cache_bytes_per_token},
            {"cache_full_context", i.cache_bytes_per_token * i.context}}}};
}

}  // namespace tern
