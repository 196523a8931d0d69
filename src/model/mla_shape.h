// What multi-head latent attention is made of.
#pragma once

#include <vector>

#include "kernels/kernels.h"
#include "model/key_value_page.h"

namespace tern {

struct MlaShape {
  int heads = 0;
  int q_rank = 0;  ///< 0: the query has no low rank
  int kv_rank = 0;
  int nope = 0, rope = 0, v = 0;  ///< of one head
  float scale = 0;                ///< of the scores: 1 / sqrt(nope + rope), times YaRN's factor

  int qk() const { return nope + rope; }
  /// A query in the latent space: what it meets there and the roped part behind it.
  int latent_key() const { return kv_rank + rope; }
  /// Cached of a token: its latent and its roped key are the one key of all heads, the latent its value.
  KeyValueShape key_value() const { return {1, latent_key(), kv_rank}; }
};

struct MlaWeights {
  PackedMatrix q;                ///< {heads * qk, hidden}; without low rank
  PackedMatrix q_a;              ///< {q_rank, hidden}; with low rank
  std::vector<float> q_a_norm;   ///< {q_rank}
  PackedMatrix q_b;              ///< {heads * qk, q_rank}
  PackedMatrix kv_a;             ///< {kv_rank + rope, hidden}
  std::vector<float> kv_a_norm;  ///< {kv_rank}
  /// Per head W_UK transposed {kv_rank, nope}: takes a query into the latent space.
  std::vector<PackedMatrix> absorb_k;
  std::vector<PackedMatrix> up_k;  ///< per head W_UK {nope, kv_rank}: makes keys from latents
  std::vector<PackedMatrix> up_v;  ///< per head W_UV {v, kv_rank}
  PackedMatrix out;                ///< {hidden, heads * v}
};

}  // namespace tern
