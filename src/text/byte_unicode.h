// GPT-2's spelling of bytes: each byte is one printable character, so that any token is a JSON or GGUF
// string.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace tern {

/// The 256 bytes in the order of the characters that spell them: first those that spell themselves ('!' to
/// '~', 0xA1 to 0xAC, 0xAE to 0xFF), then the others, which are spelled U+0100 and up.
const std::array<uint8_t, 256>& bytes_in_spelling_order();

/// The spelling of `bytes`, in UTF-8.
std::string spell_bytes(std::string_view bytes);

/// The bytes that `spelling` means; nothing where it holds a character that spells no byte.
std::optional<std::string> unspell_bytes(std::string_view spelling);

}  // namespace tern
