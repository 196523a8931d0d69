#include "tests/model/tiny_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "base/error.h"
#include "base/rng.h"
#include "quant/blocks.h"
#include "quant/values.h"

namespace tern {

namespace {

std::string full(const std::string& key) {
  return key.starts_with("general.") ? key : "deepseek2." + key;
}

class Maker {
 public:
  explicit Maker(const TinyConfig& config) : c_(config), rng_(config.seed) {}

  TinyFile make() {
    keys();
    matrix("token_embd.weight", {c_.hidden, c_.vocab}, 1.0);
    for (uint32_t i = 0; i < c_.layers; ++i) layer("blk." + std::to_string(i) + ".", i < c_.dense_layers);
    norm("output_norm.weight", c_.hidden);
    if (!c_.tied) matrix("output.weight", {c_.hidden, c_.vocab});
    return std::move(file_);
  }

 private:
  void keys() {
    file_.set("general.architecture", std::string("deepseek2"));
    const std::pair<const char*, uint32_t> numbers[] = {{"context_length", c_.context},
                                                        {"embedding_length", c_.hidden},
                                                        {"block_count", c_.layers},
                                                        {"feed_forward_length", c_.dense_ff},
                                                        {"leading_dense_block_count", c_.dense_layers},
                                                        {"attention.head_count", c_.heads},
                                                        {"attention.head_count_kv", 1},
                                                        {"attention.q_lora_rank", c_.q_rank},
                                                        {"attention.kv_lora_rank", c_.kv_rank},
                                                        {"attention.key_length", c_.kv_rank + c_.rope},
                                                        {"attention.value_length", c_.kv_rank},
                                                        {"attention.key_length_mla", c_.nope + c_.rope},
                                                        {"attention.value_length_mla", c_.v},
                                                        {"rope.dimension_count", c_.rope},
                                                        {"expert_count", c_.experts},
                                                        {"expert_used_count", c_.used},
                                                        {"expert_shared_count", c_.shared},
                                                        {"expert_feed_forward_length", c_.expert_ff},
                                                        {"expert_gating_func", c_.sigmoid ? 2 : 1},
                                                        {"expert_group_count", c_.groups},
                                                        {"expert_group_used_count", c_.groups_used}};
    for (const auto& [key, value] : numbers) file_.set(key, value);
    file_.set("expert_weights_norm", c_.normalise);
    file_.set("expert_weights_scale", c_.scale);
    file_.set("attention.layer_norm_rms_epsilon", 1e-6f);
    file_.set("rope.freq_base", 10000.0f);
  }

  void layer(const std::string& p, bool dense) {
    norm(p + "attn_norm.weight", c_.hidden);
    norm(p + "ffn_norm.weight", c_.hidden);
    const uint32_t q_width = c_.heads * (c_.nope + c_.rope);
    if (c_.q_rank > 0) {
      matrix(p + "attn_q_a.weight", {c_.hidden, c_.q_rank});
      norm(p + "attn_q_a_norm.weight", c_.q_rank);
      matrix(p + "attn_q_b.weight", {c_.q_rank, q_width});
    } else {
      matrix(p + "attn_q.weight", {c_.hidden, q_width});
    }
    matrix(p + "attn_kv_a_mqa.weight", {c_.hidden, c_.kv_rank + c_.rope});
    norm(p + "attn_kv_a_norm.weight", c_.kv_rank);
    if (c_.split) {
      matrix(p + "attn_k_b.weight", {c_.nope, c_.kv_rank, c_.heads});
      matrix(p + "attn_v_b.weight", {c_.kv_rank, c_.v, c_.heads});
    } else {
      matrix(p + "attn_kv_b.weight", {c_.kv_rank, c_.heads * (c_.nope + c_.v)});
    }
    matrix(p + "attn_output.weight", {c_.heads * c_.v, c_.hidden});
    if (dense) {
      gated(p, "", c_.dense_ff, 0);
      return;
    }
    matrix(p + "ffn_gate_inp.weight", {c_.hidden, c_.experts}, 2.0);
    if (c_.bias) {
      TinyTensor& bias = add(p + "exp_probs_b.bias", {c_.experts});
      for (float& value : bias.values) value = 0.3f * static_cast<float>(rng_.uniform());
    }
    gated(p, "_exps", c_.expert_ff, c_.experts);
    if (c_.shared > 0) gated(p, "_shexp", c_.expert_ff * c_.shared, 0);
  }

  void gated(const std::string& p, const std::string& suffix, uint64_t ff, uint64_t experts) {
    const auto dims = [&](uint64_t cols, uint64_t rows) {
      return experts > 0 ? std::vector<uint64_t>{cols, rows, experts} : std::vector<uint64_t>{cols, rows};
    };
    matrix(p + "ffn_gate" + suffix + ".weight", dims(c_.hidden, ff));
    matrix(p + "ffn_up" + suffix + ".weight", dims(c_.hidden, ff));
    matrix(p + "ffn_down" + suffix + ".weight", dims(ff, c_.hidden));
  }

  TinyTensor& add(const std::string& name, std::vector<uint64_t> dims) {
    uint64_t n = 1;
    for (uint64_t d : dims) n *= d;
    return file_.tensors.emplace_back(TinyTensor{name, std::move(dims), std::vector<float>(n)});
  }

  void matrix(const std::string& name, std::vector<uint64_t> dims, double gain = 1.4) {
    TinyTensor& tensor = add(name, std::move(dims));
    const bool embedding = name == "token_embd.weight";
    const double deviation = embedding ? gain : gain / std::sqrt(static_cast<double>(tensor.dims[0]));
    // Uniform with this deviation.
    for (float& v : tensor.values)
      v = static_cast<float>((rng_.uniform() - 0.5) * std::sqrt(12.0) * deviation);
  }

  void norm(const std::string& name, uint64_t n) {
    for (float& v : add(name, {n}).values) v = static_cast<float>(0.7 + 0.6 * rng_.uniform());
  }

  TinyConfig c_;
  Rng rng_;
  TinyFile file_;
};

}  // namespace

void TinyFile::set(const std::string& key, TinyValue value) {
  erase(key);
  keys.emplace_back(full(key), std::move(value));
}

void TinyFile::erase(const std::string& key) {
  std::erase_if(keys, [&](const auto& entry) { return entry.first == full(key); });
}

TinyTensor& TinyFile::tensor(const std::string& name) {
  for (TinyTensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  fail(ErrorKind::internal, "test: no tensor {}", name);
}

void TinyFile::erase_tensor(const std::string& name) {
  std::erase_if(tensors, [&](const TinyTensor& tensor) { return tensor.name == name; });
}

std::vector<std::byte> TinyFile::bytes() const {
  GgufWriter writer;
  for (const auto& [key, value] : keys) {
    if (const auto* number = std::get_if<uint32_t>(&value)) writer.add_u32(key, *number);
    if (const auto* number = std::get_if<float>(&value)) writer.add_f32(key, *number);
    if (const auto* flag = std::get_if<bool>(&value)) writer.add_bool(key, *flag);
    if (const auto* text = std::get_if<std::string>(&value)) writer.add_string(key, *text);
  }
  for (const TinyTensor& tensor : tensors) {
    std::vector<std::byte> data = tensor.blocks;
    if (data.empty()) {
      data.resize(row_bytes(tensor.type, tensor.values.size()));
      encode(tensor.type, tensor.values.data(), tensor.values.size(), data.data());
    }
    writer.add_tensor(tensor.name, tensor.type, tensor.dims, std::move(data));
  }
  return writer.bytes();
}

TinyFile tiny_file(const TinyConfig& config) {
  return Maker(config).make();
}

namespace {

uint8_t nearest_iq4(float x) {
  const auto closer = [&](int8_t a, int8_t b) { return std::fabs(x - a) < std::fabs(x - b); };
  return static_cast<uint8_t>(std::min_element(std::begin(iq4_values), std::end(iq4_values), closer) -
                              iq4_values);
}

float greatest(const float* x, size_t n) {
  float most = 0;
  for (size_t i = 0; i < n; ++i) most = std::max(most, std::fabs(x[i]));
  return most;
}

void pack_iq4(const float* x, float scale, uint8_t* qs) {
  const float inverse = scale > 0 ? 1 / scale : 0;
  for (size_t i = 0; i < 16; ++i) {
    qs[i] = static_cast<uint8_t>(nearest_iq4(x[i] * inverse) | nearest_iq4(x[i + 16] * inverse) << 4);
  }
}

void pack_block(const float* x, BlockIQ4_NL& block) {
  block.d = f32_to_f16(greatest(x, 32) / 127);
  pack_iq4(x, f16_to_f32(block.d), block.qs);
}

void pack_block(const float* x, BlockIQ4_XS& block) {
  block.d = f32_to_f16(greatest(x, 256) / (127 * 31));
  const float d = f16_to_f32(block.d);
  for (size_t part = 0; part < 8; ++part) {
    const float* at = x + part * 32;
    const int scale = std::clamp(static_cast<int>(std::lround(greatest(at, 32) / 127 / d)), 1, 31);
    const int six = scale + 32;
    block.scales_l[part / 2] |= static_cast<uint8_t>((six & 15) << part % 2 * 4);
    block.scales_h[part / 4] |= static_cast<uint8_t>(six >> 4 << part % 4 * 2);
    pack_iq4(at, d * static_cast<float>(scale), block.qs + part * 16);
  }
}

template <typename Block>
std::vector<std::byte> pack_blocks(std::span<const float> values) {
  std::vector<std::byte> data(values.size() / Block::size * sizeof(Block));
  for (size_t b = 0; b < values.size() / Block::size; ++b) {
    Block block = {};
    pack_block(values.data() + b * Block::size, block);
    std::memcpy(data.data() + b * sizeof(Block), &block, sizeof(Block));
  }
  return data;
}

/// Also the types that tern does not encode, plainly.
std::vector<std::byte> encode_any(DType type, std::span<const float> values) {
  if (type == DType::iq4_nl) return pack_blocks<BlockIQ4_NL>(values);
  if (type == DType::iq4_xs) return pack_blocks<BlockIQ4_XS>(values);
  std::vector<std::byte> data(row_bytes(type, values.size()));
  encode(type, values.data(), values.size(), data.data());
  return data;
}

}  // namespace

void convert(TinyFile& file, const std::function<DType(size_t index)>& choose) {
  size_t index = 0;
  for (TinyTensor& tensor : file.tensors) {
    const bool gate = tensor.name.find("ffn_gate_inp") != std::string::npos;
    if (tensor.dims.size() < 2 || gate) continue;
    const DType type = choose(index++);
    if (tensor.dims[0] % traits(type).block_size != 0) continue;
    tensor.type = type;
    std::vector<std::byte> data = encode_any(type, tensor.values);
    decode(type, data.data(), tensor.values.size(), tensor.values.data());
    // Encoding blocks once more need not give the same ones.
    if (traits(type).block_size > 1) tensor.blocks = std::move(data);
  }
}

TinyFile dequantised(const TinyFile& file) {
  TinyFile plain = file;
  for (TinyTensor& tensor : plain.tensors) {
    tensor.type = DType::f32;
    tensor.blocks.clear();
  }
  return plain;
}

}  // namespace tern
