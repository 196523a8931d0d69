// The tables of the formats whose quants are indices. Plain constants: the kernels' files of every
// instruction set share them.
#pragma once

#include <cstdint>

namespace tern {

constexpr int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
/// E2M1 doubled.
constexpr int8_t mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace tern
