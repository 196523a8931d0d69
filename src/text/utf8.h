// UTF-8 as the Unicode standard (table 3-7) defines it, one character at a time, over bytes that nobody
// checked.
#pragma once

#include <cstddef>
#include <string_view>

namespace tern {

enum class Utf8Kind {
  character,  ///< a whole, well-formed character
  partial,    ///< the text ends inside what is well formed so far
  invalid,    ///< a maximal subpart of an ill-formed sequence: one U+FFFD replaces it
};

struct Utf8Step {
  Utf8Kind kind;
  size_t bytes;  ///< at least 1
};

/// Looks at the start of `text`, which must not be empty.
Utf8Step utf8_step(std::string_view text);

/// The number of a well-formed character that `text` starts with.
char32_t utf8_code_point(std::string_view text);

/// Bytes at the start of `text` that are whole, well-formed characters.
size_t utf8_valid_prefix(std::string_view text);

}  // namespace tern
