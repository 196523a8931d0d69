#include "measure/inspect.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/cores.h"
#include "base/error.h"
#include "base/memory.h"
#include "engine/engine.h"
#include "measure/machine.h"
#include "text/chat.h"
#include "text/vocabulary.h"

namespace tern {
namespace {

bool is_routed_expert(const GgufTensor& tensor) {
  return tensor.name.find("_exps.") != std::string::npos;
}

/// Of a draft layer, which decoding token by token leaves alone.
bool is_draft(const GgufTensor& tensor, const Inspection& shape) {
  constexpr std::string_view prefix = "blk.";
  if (!tensor.name.starts_with(prefix)) return false;
  uint64_t layer = 0;
  std::from_chars(tensor.name.data() + prefix.size(), tensor.name.data() + tensor.name.size(), layer);
  return layer >= shape.layers - std::min(shape.layers, shape.draft_layers);
}

/// The share of `whole` that one token makes use of.
uint64_t active_part(const GgufTensor& tensor, const Inspection& shape, bool tied, uint64_t whole) {
  if (is_routed_expert(tensor) && shape.experts > 0) return whole / shape.experts * shape.experts_used;
  // Of an untied embedding one row is read, which counts as nothing.
  return tensor.name != "token_embd.weight" || tied ? whole : 0;
}

void count_tensors(const GgufFile& file, Inspection& result) {
  const bool tied = !file.find_tensor("output.weight");
  for (const GgufTensor& tensor : file.tensors()) {
    const uint64_t elements = tensor.elements();
    const uint64_t bytes = find_dtype(tensor.ggml_type) ? tensor.bytes() : 0;
    TypeCount& count = result.types[std::string(ggml_type_name(tensor.ggml_type))];
    ++count.tensors;
    count.weights += elements;
    count.bytes += bytes;
    result.weights += elements;
    result.active_weights += active_part(tensor, result, tied, elements);
    if (!is_draft(tensor, result)) result.bytes_per_token += active_part(tensor, result, tied, bytes);
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
  result.draft_layers = number("nextn_predict_layers");
  result.dense_layers = number("leading_dense_block_count");
  if (result.experts > 0) result.gate = number("expert_gating_func") == 2 ? "sigmoid" : "softmax";
}

void read_tokens(const std::vector<std::string>& tokens, Inspection& result) {
  result.vocab = tokens.size();
  const auto has = [&](const char* token) {
    return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
  };
  result.thinks = has(kThinkToken) && has(kEndThinkToken);
}

/// The same from a folder's tokenizer.json; what is wrong with it refusal() tells.
void read_folder_text(const GgufFile& file, Inspection& result) {
  try {
    const Vocabulary vocabulary = read_vocabulary(file);
    result.tokenizer = vocabulary.model == TokenizerModel::bpe ? "gpt2" : "llama";
    result.pre_tokenizer = vocabulary.model == TokenizerModel::bpe ? vocabulary.pre : "";
    result.chat_template = vocabulary.chat_template;
    read_tokens(vocabulary.tokens, result);
  } catch (const Error&) {
    result.tokenizer.clear();
  }
}

void read_text(const GgufFile& file, Inspection& result) {
  const GgufTensor* embedding = file.find_tensor("token_embd.weight");
  if (embedding && embedding->dims.size() == 2) result.vocab = embedding->dims[1];
  if (!file.folder().empty()) return read_folder_text(file, result);
  result.tokenizer = file.string_or("tokenizer.ggml.model", "");
  result.pre_tokenizer = file.string_or("tokenizer.ggml.pre", "");
  result.chat_template = file.string_or("tokenizer.chat_template", "");
  if (file.find("tokenizer.ggml.tokens")) read_tokens(file.get_strings("tokenizer.ggml.tokens"), result);
}

uint64_t cache_bytes(const ModelShape& model, int sequences) {
  const int pages = sequences * PagedCache::pages_for(model.context);
  return PagedCache::bytes_for(
      {model.cache_layers, model.cache_layer_bytes, pages, sequences, model.context});
}

/// What running the model takes; throws what loading it would.
void measure_memory(const GgufFile& file, CacheType cache, Inspection& result) {
  const ModelShape model = measure_model(file, cache);
  const int sequences = EngineOptions{}.parallel;
  result.cache_memory = cache_bytes(model, sequences);
  result.cache_full_context = cache_bytes(model, 1);
  result.cache_bytes_per_token = model.cache_layer_bytes * model.cache_layers / PagedCache::kPageTokens;
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

std::string refusal(const GgufFile& file, CacheType cache, Inspection& result,
                    std::optional<Tokenizer>& tokenizer) {
  const std::string words = complaint(file, [&] { tokenizer.emplace(read_vocabulary(file)); });
  const std::string model = complaint(file, [&] { measure_memory(file, cache, result); });
  if (!model.empty() || words.empty()) return model;
  const bool has_one = !file.folder().empty() || file.find("tokenizer.ggml.model") != nullptr;
  return fmt::format("the model could run, but {} ({})",
                     has_one ? "tern can't use the file's tokenizer" : "the file has no tokenizer", words);
}

/// Why a chat of one question fails, "" where it does not; without a tokenizer, its tokens are undefined.
std::string template_refusal(const std::string& source, const Tokenizer* tokenizer) {
  if (source.empty()) return "";
  const char* where = "can't be parsed";
  try {
    const jinja::Template parsed(source);
    where = "can't render a question";
    const ChatMessage question{"user", "Which?"};
    jinja::Dict variables;
    variables.set("messages", message_list({&question, 1}));
    complete_variables(variables, tokenizer);
    jinja::RenderOptions options;
    options.limits.steps = 2'000'000;  // both as in tern serve
    options.limits.bytes = 128 << 20;
    parsed.render(variables, options);
    return "";
  } catch (const Error& error) {
    return fmt::format("{}: {}", where, error.what());
  }
}

std::string bytes_text(uint64_t bytes) {
  const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 1024 && unit < 4) value /= 1024, ++unit;
  return fmt::format("{:.{}f} {}", value, unit == 0 ? 0 : 1, units[unit]);
}

std::string source_text(const Inspection& i) {
  if (i.gguf_version == 0) return fmt::format("{}, Hugging Face folder", i.file);
  return fmt::format("{}, GGUF {}, {}", i.file, i.gguf_version, bytes_text(i.file_bytes));
}

std::string fit_text(const Inspection& i) {
  const uint64_t needed = i.weights_memory + i.cache_memory;
  switch (fit_of(i)) {
    case Fit::all_sequences:
      return fmt::format("{} free: fits", bytes_text(i.memory_available));
    case Fit::one_sequence:
      return fmt::format("{} free: fits with a smaller cache (tern serve --parallel 1, or --cache-mem)",
                         bytes_text(i.memory_available));
    case Fit::no:
      return fmt::format("{} free: does not fit, {} are needed", bytes_text(i.memory_available),
                         bytes_text(needed - i.cache_memory + i.cache_full_context));
    case Fit::unknown:
      break;
  }
  return "";
}

std::string speed_text(const Inspection& i) {
  if (decode_speed(i, 0) <= 0) return "";
  return fmt::format(
      "at most {:.3g} tokens/s for one sequence, {:.3g} behind a full context; read at {:.1f} GB/s by {} "
      "cores",
      decode_speed(i, 0), decode_speed(i, i.context), i.read_bandwidth / 1e9, i.cores);
}

std::string template_text(const Inspection& i) {
  if (i.chat_template.empty()) return "none";
  const std::string size = fmt::format("{} bytes", i.chat_template.size());
  if (i.template_refused.empty()) return size;
  return fmt::format("{}, not usable: it {}", size, i.template_refused);
}

const char* fit_name(Fit fit) {
  const char* names[] = {"unknown", "no", "one sequence", "yes"};
  return names[static_cast<int>(fit)];
}

nlohmann::ordered_json machine_json(const Inspection& i) {
  if (i.memory_available == 0) return nullptr;
  nlohmann::ordered_json json{
      {"memory_available", i.memory_available}, {"fits", fit_name(fit_of(i))}, {"cores", i.cores}};
  json["read_bandwidth"] = i.read_bandwidth > 0 ? nlohmann::ordered_json(i.read_bandwidth) : nullptr;
  const bool known = decode_speed(i, 0) > 0;
  json["tokens_per_second"] = known ? nlohmann::ordered_json(decode_speed(i, 0)) : nullptr;
  json["tokens_per_second_full_context"] =
      known ? nlohmann::ordered_json(decode_speed(i, i.context)) : nullptr;
  return json;
}

std::string count_text(uint64_t count) {
  const double value = static_cast<double>(count);
  if (value >= 1e9) return fmt::format("{:.2f} B", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  return fmt::format("{}", count);
}

}  // namespace

Inspection inspect(const GgufFile& file, CacheType cache) {
  Inspection result;
  result.file = file.name();
  result.gguf_version = file.version();
  result.file_bytes = file.file_bytes();
  result.architecture = file.string_or("general.architecture", "");
  result.model_name = file.string_or("general.name", "");
  read_shape(file, result);
  count_tensors(file, result);
  read_text(file, result);
  std::optional<Tokenizer> tokenizer;
  result.refused = refusal(file, cache, result, tokenizer);
  result.template_refused = template_refusal(result.chat_template, tokenizer ? &*tokenizer : nullptr);
  return result;
}

void look_at_machine(Inspection& inspection, bool measure) {
  inspection.memory_available = available_memory();
  inspection.cores = usable_cores();
  if (measure) inspection.read_bandwidth = measure_read_bandwidth(inspection.cores);
}

double decode_speed(const Inspection& i, uint64_t context) {
  if (i.read_bandwidth <= 0 || i.cache_sequences == 0 || i.bytes_per_token == 0) return 0;
  const double cache = static_cast<double>(i.cache_bytes_per_token) * static_cast<double>(context);
  return i.read_bandwidth / (static_cast<double>(i.bytes_per_token) + cache);
}

Fit fit_of(const Inspection& i) {
  if (i.memory_available == 0 || i.cache_sequences == 0) return Fit::unknown;
  if (i.weights_memory + i.cache_memory <= i.memory_available) return Fit::all_sequences;
  return i.weights_memory + i.cache_full_context <= i.memory_available ? Fit::one_sequence : Fit::no;
}

std::string to_text(const Inspection& i) {
  std::string out;
  const auto line = [&](const char* name, const std::string& value) {
    if (!value.empty()) out += fmt::format("{:<14}{}\n", name, value);
  };
  line("file", source_text(i));
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
  line("template", template_text(i));
  if (i.cache_sequences == 0) return out;  // nobody knows what a refused model would take
  line("memory", fmt::format("{} of weights + {} of cache; the buffers of a batch come on top",
                             bytes_text(i.weights_memory), bytes_text(i.cache_memory)));
  line("cache", fmt::format("for {} sequences of {} tokens, the default of tern serve: {} a token, {} each",
                            i.cache_sequences, i.context, bytes_text(i.cache_bytes_per_token),
                            bytes_text(i.cache_full_context)));
  line("a token", fmt::format("reads {} of weights, and {} of cache for each token before it",
                              bytes_text(i.bytes_per_token), bytes_text(i.cache_bytes_per_token)));
  line("this machine", fit_text(i));
  line("decode", speed_text(i));
  return out;
}

nlohmann::ordered_json to_json(const Inspection& i) {
  nlohmann::ordered_json types = nlohmann::ordered_json::object();
  for (const auto& [name, count] : i.types) {
    types[name] = {{"tensors", count.tensors}, {"weights", count.weights}, {"bytes", count.bytes}};
  }
  nlohmann::ordered_json memory;  // null where nobody knows what a refused model would take
  if (i.cache_sequences > 0) {
    memory = {{"resident", i.weights_memory + i.cache_memory},
              {"weights", i.weights_memory},
              {"cache", i.cache_memory},
              {"cache_sequences", i.cache_sequences},
              {"cache_per_token", i.cache_bytes_per_token},
              {"cache_full_context", i.cache_full_context},
              {"weights_read_per_token", i.bytes_per_token}};
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
          {"chat_template_refused", i.template_refused},
          {"memory", memory},
          {"machine", machine_json(i)}};
}

}  // namespace tern
