// Loading attention's weights: k and v of the latents come apart or together, and are needed in three forms.
#include <fmt/format.h>

#include "base/checked.h"
#include "base/error.h"
#include "model/attention_mla.h"

namespace tern {

namespace {

/// `to` {cols, rows} from `from` {rows, cols}.
void transpose(const float* from, uint64_t rows, uint64_t cols, float* to) {
  for (uint64_t r = 0; r < rows; ++r) {
    for (uint64_t c = 0; c < cols; ++c) to[c * rows + r] = from[r * cols + c];
  }
}

/// What W_UK's transpose is kept as where the file has it the other way round. Blocks break; decoding reads
/// all of it for each token, so blocks become Q8_0 again, where its rows fall into some.
DType transposed_type(DType type, uint64_t cols) {
  if (traits(type).block_size == 1) return type;
  return cols % traits(DType::q8_0).block_size == 0 ? DType::q8_0 : DType::f32;
}

/// Says where, if a value can't be had in that type.
void encode_named(const std::string& name, DType type, const std::vector<float>& values, std::byte* to) {
  try {
    encode(type, values.data(), values.size(), to);
  } catch (const Error& error) {
    fail(error.kind(), "{}: {}", name, error.what());
  }
}

/// attn_k_b {nope, kv_rank, heads} and attn_v_b {kv_rank, v, heads}. Only prompts turn the keys' part, to
/// F32.
void load_split(TensorReader& reader, const MlaShape& shape, const std::string& prefix, MlaWeights& weights) {
  const uint64_t heads = shape.heads, rank = shape.kv_rank, nope = shape.nope, v = shape.v;
  const GgufTensor& k = reader.tensor(prefix + "k_b.weight", {nope, rank, heads});
  const GgufTensor& up = reader.tensor(prefix + "v_b.weight", {rank, v, heads});
  const TensorBytes keys = reader.bytes_to_pack(k), values = reader.bytes_to_pack(up);
  const size_t k_head = keys.size() / heads, v_head = values.size() / heads;
  std::vector<float> transposed(rank * nope), natural(nope * rank);
  const auto* floats = reinterpret_cast<const std::byte*>(natural.data());
  for (uint64_t h = 0; h < heads; ++h) {
    const std::byte* key = keys.data() + h * k_head;
    if (k_head > 0) {
      decode(k.dtype(), key, rank * nope, transposed.data());
      transpose(transposed.data(), rank, nope, natural.data());
    }
    weights.up_k.push_back(reader.pack_rows(DType::f32, floats, nope, rank));
    weights.absorb_k.push_back(reader.pack_rows(k.dtype(), key, rank, nope));
    weights.up_v.push_back(reader.pack_rows(up.dtype(), values.data() + h * v_head, v, rank));
  }
}

/// attn_kv_b {kv_rank, heads * (nope + v)}, as older files have it: each head's keys, then its values.
void load_joined(TensorReader& reader, const MlaShape& shape, const std::string& prefix,
                 MlaWeights& weights) {
  const uint64_t heads = shape.heads, rank = shape.kv_rank, nope = shape.nope, v = shape.v;
  const GgufTensor& kv = reader.tensor(prefix + "kv_b.weight", {rank, heads * (nope + v)});
  const DType type = kv.dtype(), turned = transposed_type(type, nope);
  std::vector<float> natural(nope * rank), transposed(rank * nope);
  std::vector<std::byte> encoded(row_bytes(turned, nope * rank));
  const TensorBytes joined = reader.bytes_to_pack(kv);
  const size_t row = joined.size() / (heads * (nope + v));
  for (uint64_t h = 0; h < heads; ++h) {
    const std::byte* from = joined.data() + h * (nope + v) * row;
    if (row > 0) {
      decode(type, from, nope * rank, natural.data());
      transpose(natural.data(), nope, rank, transposed.data());
      encode_named(kv.name, turned, transposed, encoded.data());
    }
    weights.up_k.push_back(reader.pack_rows(type, from, nope, rank));
    weights.absorb_k.push_back(reader.pack_rows(turned, encoded.data(), rank, nope));
    weights.up_v.push_back(reader.pack_rows(type, from + nope * row, v, rank));
  }
}

}  // namespace

MlaWeights load_mla(TensorReader& reader, const MlaShape& shape, uint64_t hidden, int layer) {
  const std::string prefix = fmt::format("blk.{}.attn_", layer);
  const uint64_t rank = shape.kv_rank, q_rank = shape.q_rank;
  const uint64_t q_width = checked_mul(shape.heads, shape.qk(), "query");
  MlaWeights weights;
  if (q_rank > 0) {
    weights.q_a = reader.matrix(prefix + "q_a.weight", hidden, q_rank);
    weights.q_a_norm = reader.floats(prefix + "q_a_norm.weight", {q_rank});
    weights.q_b = reader.matrix(prefix + "q_b.weight", q_rank, q_width);
  } else {
    weights.q = reader.matrix(prefix + "q.weight", hidden, q_width);
  }
  weights.kv_a = reader.matrix(prefix + "kv_a_mqa.weight", hidden, rank + shape.rope);
  weights.kv_a_norm = reader.floats(prefix + "kv_a_norm.weight", {rank});
  if (reader.has(prefix + "kv_b.weight")) {
    load_joined(reader, shape, prefix, weights);
  } else {
    load_split(reader, shape, prefix, weights);
  }
  weights.out = reader.matrix(prefix + "output.weight", static_cast<uint64_t>(shape.heads) * shape.v, hidden);
  return weights;
}

}  // namespace tern
