#include "text/character_classes.h"

#include <utf8proc.h>

#include <charconv>
#include <string_view>

#include "base/error.h"
#include "text/patterns.h"

namespace tern {
namespace {

namespace in = character_class;

struct Range {
  char32_t first, last;
};

constexpr Range kWhiteSpace[] = {{0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},
                                 {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
                                 {0x205F, 0x205F}, {0x3000, 0x3000}};

// Scripts.txt of Unicode 15.0.
constexpr Range kHan[] = {{0x2E80, 0x2E99},   {0x2E9B, 0x2EF3},   {0x2F00, 0x2FD5},   {0x3005, 0x3005},
                          {0x3007, 0x3007},   {0x3021, 0x3029},   {0x3038, 0x303B},   {0x3400, 0x4DBF},
                          {0x4E00, 0x9FFF},   {0xF900, 0xFA6D},   {0xFA70, 0xFAD9},   {0x16FE2, 0x16FE3},
                          {0x16FF0, 0x16FF1}, {0x20000, 0x2A6DF}, {0x2A700, 0x2B739}, {0x2B740, 0x2B81D},
                          {0x2B820, 0x2CEA1}, {0x2CEB0, 0x2EBE0}, {0x2F800, 0x2FA1D}, {0x30000, 0x3134A},
                          {0x31350, 0x323AF}};

uint16_t of_category(utf8proc_category_t category) {
  switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT:
      return in::letter | in::capital;
    case UTF8PROC_CATEGORY_LL:
      return in::letter | in::small;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return in::letter | in::capital | in::small;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return in::mark | in::capital | in::small;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return in::number;
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return in::punctuation;
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SC:
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SO:
      return in::symbol;
    default:
      return 0;
  }
}

void mark(std::vector<uint16_t>& classes, Range range, uint16_t bit) {
  for (char32_t c = range.first; c <= range.last; ++c) classes[c] |= bit;
}

// The character that `listed` begins with, as itself or as \x{...}; takes it off.
char32_t take(std::string_view& listed) {
  size_t bytes = 1;
  auto character = static_cast<uint32_t>(listed[0]);
  if (listed.starts_with("\\x{")) {
    bytes = listed.find('}') + 1;
    std::from_chars(listed.data() + 3, listed.data() + bytes - 1, character, 16);
  }
  listed.remove_prefix(bytes);
  return character;
}

// The one class in `pattern`, a table's own: characters and ranges between brackets.
void mark_class(std::vector<uint16_t>& classes, std::string_view pattern, uint16_t bit) {
  const size_t begin = pattern.find('[') + 1;
  std::string_view listed = pattern.substr(begin, pattern.rfind(']') - begin);
  while (!listed.empty()) {
    Range range{take(listed), 0};
    range.last = range.first;
    if (listed.starts_with('-')) {
      listed.remove_prefix(1);
      range.last = take(listed);
    }
    mark(classes, range, bit);
  }
}

std::vector<uint16_t> make_classes() {
  std::vector<uint16_t> classes(0x110000);
  for (size_t c = 0; c < classes.size(); ++c) {
    classes[c] = of_category(utf8proc_category(static_cast<utf8proc_int32_t>(c)));
  }
  for (const Range& range : kWhiteSpace) mark(classes, range, in::space);
  for (const Range& range : kHan) mark(classes, range, in::han);
  classes['\r'] |= in::newline;
  classes['\n'] |= in::newline;
  mark_class(classes, kDeepseekWord, in::deepseek_word);
  mark_class(classes, kDeepseekPunctuation, in::deepseek_punctuation);
  mark_class(classes, kDeepseekHan, in::deepseek_han);
  mark_class(classes, kDeepseekV3Han, in::deepseek_v3_han);
  return classes;
}

}  // namespace

const std::vector<uint16_t>& character_classes() {
  static const std::vector<uint16_t> made = make_classes();
  return made;
}

}  // namespace tern
