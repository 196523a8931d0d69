// What pre-tokenizers ask of a character, one table for all of Unicode (15.0, as Debian 12's utf8proc has
// it).
#pragma once

#include <cstdint>
#include <vector>

namespace tern {

namespace character_class {
inline constexpr uint16_t letter = 1 << 0;       // \p{L}
inline constexpr uint16_t number = 1 << 1;       // \p{N}
inline constexpr uint16_t mark = 1 << 2;         // \p{M}
inline constexpr uint16_t punctuation = 1 << 3;  // \p{P}
inline constexpr uint16_t symbol = 1 << 4;       // \p{S}
inline constexpr uint16_t space = 1 << 5;        // White_Space
inline constexpr uint16_t newline = 1 << 6;      // \r \n
inline constexpr uint16_t capital = 1 << 7;      // [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]
inline constexpr uint16_t small = 1 << 8;        // [\p{Ll}\p{Lm}\p{Lo}\p{M}]
inline constexpr uint16_t han = 1 << 9;          // \p{Han}
// The classes of kDeepseekWord, kDeepseekPunctuation, kDeepseekHan and kDeepseekV3Han.
inline constexpr uint16_t deepseek_word = 1 << 10;
inline constexpr uint16_t deepseek_punctuation = 1 << 11;
inline constexpr uint16_t deepseek_han = 1 << 12;
inline constexpr uint16_t deepseek_v3_han = 1 << 13;
}  // namespace character_class

/// {0x110000}, the classes of each code point. Made at the first call, in some milliseconds.
const std::vector<uint16_t>& character_classes();

}  // namespace tern
