#include "train/config.h"

#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <cmath>
#include <set>
#include <sstream>

#include "base/atomic_file.h"
#include "base/error.h"

namespace tern::train {

namespace {

/// One TOML table whose keys are taken one by one; what is left over is an error.
class Section {
 public:
  Section(const toml::table& table, std::string where) : table_(table), where_(std::move(where)) {}

  void take(const char* key, int64_t& value, int64_t least, int64_t most) {
    const toml::node* node = find(key);
    if (!node) return;
    if (!node->is_integer()) wrong(key, "a whole number", *node);
    value = **node->as_integer();
    if (value < least || value > most) {
      fail(ErrorKind::bad_input, "{}: {} = {}: expected {} to {}", at(*node), key, value, least, most);
    }
  }
  void take(const char* key, uint64_t& value) {
    int64_t number = static_cast<int64_t>(value);
    take(key, number, 0, INT64_MAX);
    value = static_cast<uint64_t>(number);
  }
  void take(const char* key, double& value, double least, double most) {
    if (const toml::node* node = find(key)) value = number(key, *node, least, most);
  }
  void take(const char* key, bool& value) {
    const toml::node* node = find(key);
    if (!node) return;
    if (!node->is_boolean()) wrong(key, "true or false", *node);
    value = **node->as_boolean();
  }
  void take(const char* key, std::string& value) {
    const toml::node* node = find(key);
    if (!node) return;
    if (!node->is_string()) wrong(key, "a string", *node);
    value = **node->as_string();
  }
  void take(const char* key, std::array<double, 5>& values) {
    const toml::node* node = find(key);
    if (!node) return;
    const toml::array* array = node->as_array();
    if (!array || array->size() != values.size()) wrong(key, "five numbers", *node);
    for (size_t i = 0; i < values.size(); ++i) values[i] = number(key, *array->get(i), 0, 1e6);
  }

  void finish() const {
    for (const auto& [key, node] : table_) {
      if (!taken_.count(std::string(key.str()))) {
        fail(ErrorKind::bad_input, "{}: unknown key '{}'", at(node), key.str());
      }
    }
  }

  std::string at(const toml::node& node) const {
    return fmt::format("{}:{}", where_, node.source().begin.line);
  }

 private:
  const toml::node* find(const char* key) {
    taken_.insert(key);
    return table_.get(key);
  }
  double number(const char* key, const toml::node& node, double least, double most) const {
    if (!node.is_number()) wrong(key, "a number", node);
    const double value =
        node.is_integer() ? static_cast<double>(**node.as_integer()) : **node.as_floating_point();
    if (!(value >= least && value <= most)) {
      fail(ErrorKind::bad_input, "{}: {} = {}: expected {} to {}", at(node), key, value, least, most);
    }
    return value;
  }
  [[noreturn]] void wrong(const char* key, const char* expected, const toml::node& node) const {
    fail(ErrorKind::bad_input, "{}: {}: expected {}", at(node), key, expected);
  }

  const toml::table& table_;
  std::string where_;
  std::set<std::string> taken_;
};

/// The other way: takes the values as TOML text.
class Lines {
 public:
  void take(const char* key, int64_t value, int64_t, int64_t) { add(key, fmt::format("{}", value)); }
  void take(const char* key, uint64_t value) { add(key, fmt::format("{}", value)); }
  void take(const char* key, double value, double, double) { add(key, fmt::format("{}", value)); }
  void take(const char* key, bool value) { add(key, fmt::format("{}", value)); }
  void take(const char* key, const std::string& value) { add(key, quoted(value)); }
  void take(const char* key, const std::array<double, 5>& values) {
    add(key, fmt::format("[{}]", fmt::join(values, ", ")));
  }

  const std::vector<Setting>& lines() const { return lines_; }

  static std::string quoted(const std::string& text) {
    std::ostringstream out;
    out << toml::value<std::string>(text);
    return out.str();
  }

 private:
  void add(const char* key, std::string value) { lines_.push_back({key, std::move(value)}); }

  std::vector<Setting> lines_;
};

constexpr int64_t max_size = 1 << 20;

// The keys of each section, for reading (Section) and for writing (Lines).

template <typename Fields>
void model_fields(Fields& in, ModelConfig& model) {
  std::string family = model.family == Family::llama ? "llama" : "deepseek";
  in.take("family", family);
  if (family != "deepseek" && family != "llama") {
    fail(ErrorKind::bad_input, "model.family = '{}': expected 'deepseek' or 'llama'", family);
  }
  model.family = family == "llama" ? Family::llama : Family::deepseek;
  in.take("vocab_size", model.vocab_size, 262, max_size);
  in.take("hidden", model.hidden, 1, max_size);
  in.take("layers", model.layers, 1, 1024);
  in.take("heads", model.heads, 1, 1024);
  in.take("context", model.context, 1, max_size);
  in.take("rope_theta", model.rope_theta, 1, 1e9);
  in.take("norm_eps", model.norm_eps, 1e-12, 1);
  in.take("tied", model.tied);
  in.take("dense_ff", model.dense_ff, 1, max_size);
  if (model.family == Family::llama) {
    in.take("kv_heads", model.kv_heads, 1, 1024);
    in.take("head_dim", model.head_dim, 2, 1024);
    return;
  }
  in.take("query_rank", model.query_rank, 1, max_size);
  in.take("latent_rank", model.latent_rank, 1, max_size);
  in.take("nope_dim", model.nope_dim, 1, 1024);
  in.take("rope_dim", model.rope_dim, 2, 1024);
  in.take("value_dim", model.value_dim, 1, 1024);
  in.take("dense_layers", model.dense_layers, 0, 1024);
  in.take("experts", model.experts, 1, 4096);
  in.take("experts_used", model.experts_used, 1, 4096);
  in.take("shared_experts", model.shared_experts, 1, 64);
  in.take("expert_ff", model.expert_ff, 1, max_size);
  in.take("expert_scale", model.expert_scale, 1e-3, 1e3);
}

template <typename Fields>
void data_fields(Fields& in, DataConfig& data) {
  in.take("seed", data.seed);
  in.take("tokens_per_step", data.tokens_per_step, 1, 1 << 24);
  in.take("max_tokens", data.max_tokens, 8, max_size);
  in.take("noise", data.noise);
  in.take("thinking_empty", data.thinking_empty, 0, 1);
  in.take("thinking_cut", data.thinking_cut, 0, 1);
  in.take("vocabulary_lines", data.vocabulary_lines, 1, 10'000'000);
}

template <typename Fields>
void optimizer_fields(Fields& in, OptimizerConfig& optimizer) {
  in.take("learning_rate", optimizer.learning_rate, 0, 10);
  in.take("final_ratio", optimizer.final_ratio, 0, 1);
  in.take("warmup", optimizer.warmup, 0, 1);
  in.take("beta1", optimizer.beta1, 0, 0.99999);
  in.take("beta2", optimizer.beta2, 0, 0.999999);
  in.take("epsilon", optimizer.epsilon, 1e-20, 1);
  in.take("weight_decay", optimizer.weight_decay, 0, 10);
  in.take("clip", optimizer.clip, 1e-9, 1e9);
  in.take("balance_rate", optimizer.balance_rate, 0, 1);
}

template <typename Fields>
void run_fields(Fields& in, RunConfig& run) {
  in.take("seed", run.seed);
  in.take("steps", run.steps, 0, INT64_MAX);
  in.take("minutes", run.minutes, 0, 1e6);
  in.take("checkpoint_minutes", run.checkpoint_minutes, 0, 5);
  in.take("log_every", run.log_every, 1, max_size);
  in.take("probe_minutes", run.probe_minutes, 0, 1e6);
  in.take("probe_examples", run.probe_examples, 1, 100'000);
  in.take("export_type", run.export_type);
}

/// Hands the table `key`, empty where the file has none, to `read` and refuses what it didn't take.
template <typename Read>
void read_section(const toml::table& root, const char* key, const std::string& where, Read&& read) {
  static const toml::table empty;
  const toml::node* node = root.get(key);
  if (node && !node->is_table()) fail(ErrorKind::bad_input, "{}: {}: expected a table [{}]", where, key, key);
  Section section(node ? *node->as_table() : empty, where);
  read(section);
  section.finish();
}

template <typename Write>
std::vector<Setting> section_lines(Write&& write) {
  Lines out;
  write(out);
  return out.lines();
}

/// Every section of `config` with its lines, in the order of the file.
std::vector<std::pair<std::string, std::vector<Setting>>> all_lines(Config config) {
  return {{"model", section_lines([&](Lines& out) { model_fields(out, config.model); })},
          {"data", section_lines([&](Lines& out) { data_fields(out, config.data); })},
          {"optimizer", section_lines([&](Lines& out) { optimizer_fields(out, config.optimizer); })},
          {"run", section_lines([&](Lines& out) { run_fields(out, config.run); })}};
}

void expect(bool holds, const std::string& where, const std::string& what) {
  if (!holds) fail(ErrorKind::bad_input, "{}: {}", where, what);
}

}  // namespace

Config parse_config(const std::string& text, const std::string& where) {
  toml::table root;
  try {
    root = toml::parse(text, where);
  } catch (const toml::parse_error& error) {
    fail(ErrorKind::bad_input, "{}:{}: {}", where, error.source().begin.line, error.description());
  }
  Config config;
  static const std::set<std::string> sections{"name", "model", "data", "optimizer", "run"};
  for (const auto& [key, node] : root) {
    if (!sections.count(std::string(key.str()))) {
      fail(ErrorKind::bad_input, "{}:{}: unknown key '{}'", where, node.source().begin.line, key.str());
    }
  }
  if (const toml::node* name = root.get("name")) {
    expect(name->is_string(), where, "name: expected a string");
    config.name = **name->as_string();
  }
  read_section(root, "model", where, [&](Section& in) { model_fields(in, config.model); });
  read_section(root, "data", where, [&](Section& in) { data_fields(in, config.data); });
  read_section(root, "optimizer", where, [&](Section& in) { optimizer_fields(in, config.optimizer); });
  read_section(root, "run", where, [&](Section& in) { run_fields(in, config.run); });
  check_config(config, where);
  return config;
}

Config load_config(const std::string& path) {
  return parse_config(read_file(path, 1 << 20), path);
}

std::string config_text(const Config& config) {
  std::string text = fmt::format("name = {}\n", Lines::quoted(config.name));
  for (const auto& [section, lines] : all_lines(config)) {
    text += fmt::format("\n[{}]\n", section);
    for (const Setting& line : lines) text += fmt::format("{} = {}\n", line.key, line.value);
  }
  return text;
}

std::vector<Setting> lasting_settings(const Config& config) {
  std::vector<Setting> result;
  for (const auto& [section, lines] : all_lines(config)) {
    for (const Setting& line : lines) {
      const std::string key = section + "." + line.key;
      if (section == "model" || section == "data" || key == "run.seed") result.push_back({key, line.value});
    }
  }
  return result;
}

void check_config(const Config& config, const std::string& where) {
  const ModelConfig& model = config.model;
  if (model.family == Family::deepseek) {
    expect(model.rope_dim % 2 == 0, where,
           fmt::format("rope_dim = {}: expected an even number", model.rope_dim));
    expect(
        model.experts_used <= model.experts, where,
        fmt::format("experts_used = {}: expected at most experts = {}", model.experts_used, model.experts));
    expect(model.dense_layers <= model.layers, where,
           fmt::format("dense_layers = {}: expected at most layers = {}", model.dense_layers, model.layers));
  } else {
    expect(model.head_dim % 2 == 0, where,
           fmt::format("head_dim = {}: expected an even number", model.head_dim));
    expect(model.heads % model.kv_heads == 0, where,
           fmt::format("kv_heads = {}: expected a divisor of heads = {}", model.kv_heads, model.heads));
  }
  expect(config.data.thinking_empty + config.data.thinking_cut <= 1 + 1e-9, where,
         "thinking_empty + thinking_cut: expected at most 1");
  expect(config.data.max_tokens <= model.context, where,
         fmt::format("data.max_tokens = {}: expected at most model.context = {}", config.data.max_tokens,
                     model.context));
  double noise = 0;
  for (double weight : config.data.noise) noise += weight;
  expect(noise > 0, where, "noise: expected a positive weight");
  expect(config.run.steps > 0 || config.run.minutes > 0, where, "run: expected steps or minutes");
}

}  // namespace tern::train
