#include "text/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "text/utf8.h"

namespace tern {
namespace {

// The longest canonical decomposition of a character has four; utf8proc asks for room beforehand.
constexpr utf8proc_ssize_t kRoom = 32;

int combining_class(utf8proc_int32_t character) {
  return utf8proc_get_property(character)->combining_class;
}

std::vector<utf8proc_int32_t> decompose(std::string_view text) {
  std::vector<utf8proc_int32_t> characters;
  characters.reserve(text.size());
  while (!text.empty()) {
    utf8proc_int32_t parts[kRoom];
    int bounds = 0;
    const auto character = static_cast<utf8proc_int32_t>(utf8_code_point(text));
    const utf8proc_ssize_t n = utf8proc_decompose_char(
        character, parts, kRoom, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE),
        &bounds);
    if (n < 0 || n > kRoom) fail(ErrorKind::internal, "NFC: U+{:04X} has {} parts", character, n);
    characters.insert(characters.end(), parts, parts + n);
    text.remove_prefix(utf8_step(text).bytes);
  }
  return characters;
}

// utf8proc's own way sorts by exchanging neighbours: a megabyte of marks would take it hours.
void order_marks(std::vector<utf8proc_int32_t>& characters) {
  const auto is_starter = [](utf8proc_int32_t c) { return combining_class(c) == 0; };
  const auto earlier = [](utf8proc_int32_t a, utf8proc_int32_t b) {
    return combining_class(a) < combining_class(b);
  };
  for (auto at = characters.begin(); at != characters.end();) {
    at = std::find_if_not(at, characters.end(), is_starter);
    const auto end = std::find_if(at, characters.end(), is_starter);
    if (end - at > 1) std::stable_sort(at, end, earlier);
    at = end;
  }
}

// `text` is well-formed.
void append_nfc(std::string_view text, std::string& out) {
  std::vector<utf8proc_int32_t> characters = decompose(text);
  order_marks(characters);
  const utf8proc_ssize_t n =
      utf8proc_normalize_utf32(characters.data(), static_cast<utf8proc_ssize_t>(characters.size()),
                               static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  if (n < 0) fail(ErrorKind::internal, "NFC: {}", utf8proc_errmsg(n));
  for (utf8proc_ssize_t i = 0; i < n; ++i) {
    utf8proc_uint8_t bytes[4];
    const utf8proc_ssize_t size = utf8proc_encode_char(characters[static_cast<size_t>(i)], bytes);
    out.append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(size));
  }
}

}  // namespace

std::string to_nfc(std::string_view text) {
  std::string out;
  // Below U+0300, whose first byte this is, every text is in NFC.
  const auto may_change = [](char c) { return static_cast<uint8_t>(c) >= 0xCC; };
  if (std::none_of(text.begin(), text.end(), may_change)) return out.assign(text);
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t valid = utf8_valid_prefix(text);
    append_nfc(text.substr(0, valid), out);
    const size_t broken = std::min<size_t>(text.size() - valid, 1);
    out.append(text.substr(valid, broken));
    text.remove_prefix(valid + broken);
  }
  return out;
}

}  // namespace tern
