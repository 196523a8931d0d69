// Decoding and encoding one block of each format, for types.cpp. Formats after ggml's public definition.
#pragma once

#include "quant/blocks.h"

namespace tern::codecs {

void decode(const BlockQ4_0& block, float* to);
void decode(const BlockQ4_1& block, float* to);
void decode(const BlockQ5_0& block, float* to);
void decode(const BlockQ5_1& block, float* to);
void decode(const BlockQ8_0& block, float* to);
void decode(const BlockMXFP4& block, float* to);
void decode(const BlockIQ4_NL& block, float* to);
void decode(const BlockIQ4_XS& block, float* to);
void decode(const BlockQ2_K& block, float* to);
void decode(const BlockQ3_K& block, float* to);
void decode(const BlockQ4_K& block, float* to);
void decode(const BlockQ5_K& block, float* to);
void decode(const BlockQ6_K& block, float* to);

/// All of `from` is finite. The formats of 32 and MXFP4 give the bits of ggml's reference; the K formats,
/// whose encoding no definition fixes, search for the least squared error. Throw Error{bad_input} for weights
/// whose scale F16 cannot hold.
void encode(const float* from, BlockQ4_0& block);
void encode(const float* from, BlockQ4_1& block);
void encode(const float* from, BlockQ5_0& block);
void encode(const float* from, BlockQ5_1& block);
void encode(const float* from, BlockQ8_0& block);
void encode(const float* from, BlockMXFP4& block);
void encode(const float* from, BlockQ2_K& block);
void encode(const float* from, BlockQ3_K& block);
void encode(const float* from, BlockQ4_K& block);
void encode(const float* from, BlockQ5_K& block);
void encode(const float* from, BlockQ6_K& block);

/// `value` as F16; throws Error{bad_input} naming the type and the field where F16 cannot hold it.
uint16_t half_or_fail(DType type, const char* field, float value);

}  // namespace tern::codecs
