#include "model/hf_assembly.h"

#include <fmt/format.h>

#include "base/checked.h"
#include "base/error.h"

namespace tern {

HfElements::HfElements(const HfRows& from)
    : bytes_(from.data.data()), type_(from.type), size_(traits(from.type).block_bytes) {
  if (!from.scales) return;
  decoded_.resize(from.rows * from.row_bytes());
  for (uint64_t row = 0; row < from.rows; ++row) from.read(row, decoded_.data() + row * from.row_bytes());
  bytes_ = decoded_.data();
}

void HfElements::copy_f32(uint64_t at, std::byte* to) const {
  float value;
  decode(type_, bytes_ + at * size_, 1, &value);
  std::memcpy(to, &value, sizeof value);
}

HfAssembly::HfAssembly(std::string architecture, const HfConfig& config, HfTensors& tensors)
    : architecture_(std::move(architecture)), config_(config), tensors_(tensors) {}

void HfAssembly::general(const std::string& name, GgufValue value) {
  metadata_.emplace_back("general." + name, std::move(value));
}

void HfAssembly::key(const std::string& name, GgufValue value) {
  metadata_.emplace_back(architecture_ + "." + name, std::move(value));
}

void HfAssembly::made(std::string to, Dims dims, uint32_t ggml_type,
                      std::function<void(std::span<std::byte>)> make) {
  GgufTensor tensor;
  tensor.name = std::move(to);
  tensor.ggml_type = ggml_type;
  tensor.dims = std::move(dims);
  tensor.make = std::move(make);
  made_.push_back(std::move(tensor));
}

void HfAssembly::matrix(const std::string& to, const std::string& from, uint64_t rows, uint64_t cols) {
  const HfRows source = tensors_.get(from, {rows, cols});
  if (!source.stands_as_is()) {
    gather(to, {cols, rows}, {source}, [](uint64_t row) { return std::pair<size_t, uint64_t>(0, row); });
    return;
  }
  GgufTensor tensor;
  tensor.name = to;
  tensor.ggml_type = static_cast<uint32_t>(source.type);
  tensor.dims = {cols, rows};
  tensor.data = source.data;
  tensor.mapping = source.mapping;
  made_.push_back(std::move(tensor));
}

void HfAssembly::exact(const std::string& to, const std::string& from, const HfTensors::Shape& shape) {
  const HfRows source = tensors_.get(from, shape);
  Dims dims(shape.rbegin(), shape.rend());
  made(to, std::move(dims), static_cast<uint32_t>(DType::f32), [source](std::span<std::byte> out) {
    std::vector<std::byte> row(source.row_bytes());
    std::vector<float> values(source.cols);
    for (uint64_t r = 0; r < source.rows; ++r) {
      source.read(r, row.data());
      decode(source.type, row.data(), source.cols, values.data());
      std::memcpy(out.data() + r * source.cols * sizeof(float), values.data(), source.cols * sizeof(float));
    }
    source.release();
  });
}

void HfAssembly::gather(const std::string& to, Dims dims, std::vector<HfRows> sources, PickRow pick) {
  for (const HfRows& source : sources) {
    if (source.type == sources[0].type) continue;
    fail(ErrorKind::unsupported, "{}: tensor {}: it is put together from {} and {}", tensors_.name(), to,
         traits(sources[0].type).name, traits(source.type).name);
  }
  const auto type = static_cast<uint32_t>(sources[0].type);
  made(to, std::move(dims), type,
       [sources = std::move(sources), pick = std::move(pick)](std::span<std::byte> out) {
         const uint64_t row_bytes = sources[0].row_bytes();
         for (uint64_t row = 0; row < out.size() / row_bytes; ++row) {
           const auto [source, source_row] = pick(row);
           sources[source].read(source_row, out.data() + row * row_bytes);
         }
         for (const HfRows& source : sources) source.release();
       });
}

GgufFile HfAssembly::finish(std::string name, std::shared_ptr<const void> keep) {
  tensors_.refuse_unread(architecture_);
  return GgufFile::assemble(std::move(name), std::move(metadata_), std::move(made_), std::move(keep));
}

void add_common_keys(HfAssembly& to, uint64_t blocks, uint64_t kv_heads) {
  const HfConfig& config = to.config();
  config.expect_text("hidden_act", "silu");
  to.key("block_count", blocks);
  to.key("context_length", config.get_uint("max_position_embeddings"));
  to.key("embedding_length", config.get_uint("hidden_size"));
  to.key("feed_forward_length", config.get_uint("intermediate_size"));
  to.key("attention.head_count", config.get_uint("num_attention_heads"));
  to.key("attention.head_count_kv", kv_heads);
  to.key("attention.layer_norm_rms_epsilon", config.float_or("rms_norm_eps", 1e-6));
  to.key("vocab_size", config.get_uint("vocab_size"));
}

void add_embedding(HfAssembly& to) {
  const uint64_t vocab = to.config().get_uint("vocab_size"), hidden = to.config().get_uint("hidden_size");
  to.matrix("token_embd.weight", "model.embed_tokens.weight", vocab, hidden);
}

void add_output(HfAssembly& to) {
  const uint64_t vocab = to.config().get_uint("vocab_size"), hidden = to.config().get_uint("hidden_size");
  to.exact("output_norm.weight", "model.norm.weight", {hidden});
  if (to.config().bool_or("tie_word_embeddings", false)) {
    to.tensors().ignore("lm_head.weight");
  } else {
    to.matrix("output.weight", "lm_head.weight", vocab, hidden);
  }
}

void add_gated(HfAssembly& to, const std::string& prefix, const std::string& suffix, const std::string& from,
               uint64_t ff) {
  const uint64_t hidden = to.config().get_uint("hidden_size");
  to.matrix(prefix + "gate" + suffix, from + "gate_proj.weight", ff, hidden);
  to.matrix(prefix + "up" + suffix, from + "up_proj.weight", ff, hidden);
  to.matrix(prefix + "down" + suffix, from + "down_proj.weight", hidden, ff);
}

namespace {

void add_stacked(HfAssembly& to, const std::string& name, const std::string& from, const char* part,
                 uint64_t experts, uint64_t rows, uint64_t cols) {
  std::vector<HfRows> sources;
  for (uint64_t e = 0; e < experts; ++e) {
    sources.push_back(to.tensors().get(fmt::format("{}{}.{}_proj.weight", from, e, part), {rows, cols}));
  }
  to.gather(name, {cols, rows, experts}, std::move(sources),
            [rows](uint64_t row) { return std::pair<size_t, uint64_t>(row / rows, row % rows); });
}

void add_fused(HfAssembly& to, const std::string& prefix, const std::string& from, uint64_t experts,
               uint64_t ff) {
  const uint64_t hidden = to.config().get_uint("hidden_size");
  const uint64_t both = checked_mul(2, ff, "expert rows");
  const HfRows gate_up = to.tensors().get(from + "gate_up_proj", {experts, both, hidden});
  const auto half = [&](const char* part, uint64_t first) {
    to.gather(prefix + part + "_exps.weight", {hidden, ff, experts}, {gate_up},
              [ff, both, first](uint64_t row) {
                return std::pair<size_t, uint64_t>(0, row / ff * both + first + row % ff);
              });
  };
  half("gate", 0);
  half("up", ff);
  const HfRows down = to.tensors().get(from + "down_proj", {experts, hidden, ff});
  to.gather(prefix + "down_exps.weight", {ff, hidden, experts}, {down},
            [](uint64_t row) { return std::pair<size_t, uint64_t>(0, row); });
}

}  // namespace

void add_experts(HfAssembly& to, const std::string& prefix, const std::string& from, uint64_t experts,
                 uint64_t ff) {
  if (to.tensors().has(from + "gate_up_proj")) return add_fused(to, prefix, from, experts, ff);
  const uint64_t hidden = to.config().get_uint("hidden_size");
  add_stacked(to, prefix + "gate_exps.weight", from, "gate", experts, ff, hidden);
  add_stacked(to, prefix + "up_exps.weight", from, "up", experts, ff, hidden);
  add_stacked(to, prefix + "down_exps.weight", from, "down", experts, hidden, ff);
}

uint64_t head_dim(const HfConfig& config) {
  if (config.has("head_dim")) return config.get_uint("head_dim");
  const uint64_t hidden = config.get_uint("hidden_size"), heads = config.get_uint("num_attention_heads");
  if (hidden % heads != 0) {
    fail(ErrorKind::bad_input, "{}: hidden_size: expected a multiple of the {} heads, found {}",
         config.name(), heads, hidden);
  }
  return hidden / heads;
}

}  // namespace tern
