// What Python's str methods know of characters.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace tern::jinja {

/// The code point that `text`, valid UTF-8, begins with, and its bytes.
char32_t decode_character(std::string_view text, size_t& bytes);
/// The code point that ends before `end`, and where it begins.
char32_t character_before(std::string_view text, size_t end, size_t& begin);
std::string utf8_of(char32_t character);

bool is_space(char32_t character);      ///< str.isspace()
bool is_printable(char32_t character);  ///< str.isprintable(): what repr() doesn't escape
bool is_letter(char32_t character);     ///< str.isalpha()
bool is_decimal(char32_t character);    ///< str.isdecimal()
bool is_numeric(char32_t character);    ///< any number, for str.isalnum()
bool is_upper(char32_t character);
bool is_lower(char32_t character);

/// Full case mapping of one character: may be several. Titlecase for the first letter of a word.
std::string upper_of(char32_t character);
std::string lower_of(char32_t character);
std::string title_of(char32_t character);

/// Where the white space around `at` ends and begins; a word, its opposite, where `space` is false.
size_t run_end(std::string_view text, size_t at, bool space = true);
size_t run_begin(std::string_view text, size_t at, bool space = true);

}  // namespace tern::jinja
