// Encoding to Q2_K .. Q6_K. The formats say what a block means, not how to choose it: here each sub-block
// gets the scale (and min) of least squared error over a few ways of rounding; then these are rounded to the
// small integers that the block can hold, trying their neighbours, with the quants chosen anew for what they
// really became; and last the block's own scale is fitted to all its integers and all is rounded once more.
#include <cmath>

#include "base/error.h"
#include "quant/codecs.h"
#include "quant/kquants_affine.h"
#include "quant/kquants_symmetric.h"

namespace tern::codecs {
namespace {

// Above this no K format holds a weight (Q6_K: 65504 * 128 * 32), and squares stay finite below it.
constexpr float too_large = 3e8f;

void check_range(DType type, const float* from) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    if (std::fabs(from[i]) > too_large) {
      fail(ErrorKind::bad_input, "{}: cannot encode {}: its scale does not fit F16", traits(type).name,
           from[i]);
    }
  }
}

// Where quants() reads them.
void store_twos(const uint8_t* q, uint8_t (&qs)[64]) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    qs[i / 128 * 32 + i % 32] |= static_cast<uint8_t>((q[i] & 3) << (i / 32 % 4 * 2));
  }
}
void store_fours(const uint8_t* q, uint8_t (&qs)[128]) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    qs[i / 64 * 32 + i % 32] |= static_cast<uint8_t>((q[i] & 15) << (i / 32 % 2 * 4));
  }
}
void store_ones(const uint8_t* q, int bit, uint8_t (&qh)[32]) {
  for (size_t i = 0; i < kSuperBlock; ++i) {
    qh[i % 32] |= static_cast<uint8_t>((q[i] >> bit & 1) << (i / 32));
  }
}

// Q4_K and Q5_K but for the quants.
template <typename Block>
void search_scale_min(const float* from, float most, Block& block, uint8_t* q) {
  check_range(Block::type, from);
  const auto choice = search_affine<32, 8>(Block::type, from, 63, most);
  block = {};
  block.d = f32_to_f16(choice.d);
  block.dmin = f32_to_f16(choice.dmin);
  for (size_t sub = 0; sub < 8; ++sub) set_scale_min(block.scales, sub, choice.subs[sub]);
  all_quants<32>(from, choice, most, q);
}

}  // namespace

void encode(const float* from, BlockQ2_K& block) {
  check_range(DType::q2_k, from);
  const auto choice = search_affine<16, 16>(DType::q2_k, from, 15, 3);
  uint8_t q[kSuperBlock];
  all_quants<16>(from, choice, 3, q);
  block = {};
  block.d = f32_to_f16(choice.d);
  block.dmin = f32_to_f16(choice.dmin);
  for (size_t sub = 0; sub < 16; ++sub) {
    block.scales[sub] = static_cast<uint8_t>(choice.subs[sub].scale | choice.subs[sub].min << 4);
  }
  store_twos(q, block.qs);
}

void encode(const float* from, BlockQ3_K& block) {
  check_range(DType::q3_k, from);
  const auto choice = search_symmetric<16, 16>(DType::q3_k, from, 32, 4);
  uint8_t q[kSuperBlock];
  all_quants<16>(from, choice, 4, q);
  block = {};
  block.d = f32_to_f16(choice.d);
  for (size_t sub = 0; sub < 16; ++sub) {
    set_stored_scale(block, sub, static_cast<uint8_t>(choice.scales[sub] + 32));
  }
  store_twos(q, block.qs);
  store_ones(q, 2, block.hmask);
}

void encode(const float* from, BlockQ4_K& block) {
  uint8_t q[kSuperBlock];
  search_scale_min(from, 15, block, q);
  store_fours(q, block.qs);
}

void encode(const float* from, BlockQ5_K& block) {
  uint8_t q[kSuperBlock];
  search_scale_min(from, 31, block, q);
  store_fours(q, block.qs);
  store_ones(q, 4, block.qh);
}

void encode(const float* from, BlockQ6_K& block) {
  check_range(DType::q6_k, from);
  const auto choice = search_symmetric<16, 16>(DType::q6_k, from, 128, 32);
  uint8_t q[kSuperBlock];
  all_quants<16>(from, choice, 32, q);
  block = {};
  block.d = f32_to_f16(choice.d);
  for (size_t sub = 0; sub < 16; ++sub) block.scales[sub] = static_cast<int8_t>(choice.scales[sub]);
  for (size_t i = 0; i < kSuperBlock; ++i) {
    const size_t half = i / 128, quarter = i / 32 % 4, column = i % 32;
    block.ql[half * 64 + quarter % 2 * 32 + column] |= static_cast<uint8_t>((q[i] & 15) << (quarter / 2 * 4));
    block.qh[half * 32 + column] |= static_cast<uint8_t>(q[i] >> 4 << (quarter * 2));
  }
}

}  // namespace tern::codecs
