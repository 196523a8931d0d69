#include "text/scanners.h"

#include <string>

#include "text/character_classes.h"
#include "text/patterns.h"
#include "text/regex.h"
#include "text/utf8.h"

namespace tern {
namespace {

namespace in = character_class;

/// The characters of a text with their classes.
class Text {
 public:
  explicit Text(std::string_view bytes) : bytes_(bytes), classes_(character_classes().data()) {}

  size_t size() const { return bytes_.size(); }
  char byte(size_t at) const { return at < bytes_.size() ? bytes_[at] : '\0'; }
  std::string_view rest(size_t at) const { return bytes_.substr(at); }

  /// The classes of the character at `at`; none at the end.
  uint16_t classes(size_t at) const {
    if (at >= bytes_.size()) return 0;
    const auto byte = static_cast<uint8_t>(bytes_[at]);
    return classes_[byte < 0x80 ? byte : utf8_code_point(bytes_.substr(at))];
  }

  /// Where the next character begins.
  size_t next(size_t at) const {
    const auto byte = static_cast<uint8_t>(bytes_[at]);
    return at + (byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4);
  }

  /// Where the character before `at` begins.
  size_t before(size_t at) const {
    do --at;
    while ((static_cast<uint8_t>(bytes_[at]) & 0xC0) == 0x80);
    return at;
  }

  /// The end of the run, from `at`, of characters with one of the classes and none of the others.
  size_t run(size_t at, uint16_t any, uint16_t none = 0) const {
    for (uint16_t c; at < size() && ((c = classes(at)) & any) && !(c & none);) at = next(at);
    return at;
  }

  /// The end of the run of characters that have none of the classes.
  size_t run_without(size_t at, uint16_t none) const {
    while (at < size() && !(classes(at) & none)) at = next(at);
    return at;
  }

  /// The end of at most `most` numbers.
  size_t numbers(size_t at, int most) const {
    for (; most > 0 && classes(at) & in::number; --most) at = next(at);
    return at;
  }

 private:
  std::string_view bytes_;
  const uint16_t* classes_;
};

// Cuts `text` where Match finds something: Match(text, at) gives the end of what the pattern matches at `at`,
// or `at`.
template <typename Match>
void cut(std::string_view bytes, std::vector<std::string_view>& pieces, Match match) {
  const Text text(bytes);
  size_t begin = 0;  // of the gap
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = match(text, at);
    if (end == at) {
      at = text.next(at);
      continue;
    }
    if (at > begin) pieces.push_back(bytes.substr(begin, at - begin));
    pieces.push_back(bytes.substr(at, end - at));
    begin = at = end;
  }
  if (begin < bytes.size()) pieces.push_back(bytes.substr(begin));
}

// 's 't 're 've 'm 'll 'd
size_t contraction(const Text& text, size_t at) {
  if (text.byte(at) != '\'') return at;
  const char a = text.byte(at + 1), b = text.byte(at + 2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
  const bool two = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
  return two ? at + 3 : at;
}

// The same in either case; the long s is an s.
size_t contraction_any_case(const Text& text, size_t at) {
  if (text.byte(at) != '\'') return at;
  if (text.rest(at + 1).starts_with("\u017F")) return at + 3;
  const char a = text.byte(at + 1) | 0x20, b = text.byte(at + 2) | 0x20;
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return at + 2;
  const bool two = (a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l');
  return two ? at + 3 : at;
}

// \s+(?!\S)|\s+
size_t spaces(const Text& text, size_t at) {
  const size_t end = text.run(at, in::space);
  if (end == at || end == text.size()) return end;
  const size_t last = text.before(end);  // belongs to what follows
  return last > at ? last : end;
}

// \s*[\r\n]+|\s+(?!\S)|\s+
size_t lines_and_spaces(const Text& text, size_t at) {
  const size_t end = text.run(at, in::space);
  for (size_t last = end; last > at; --last) {
    if (text.byte(last - 1) == '\n' || text.byte(last - 1) == '\r') return last;
  }
  return spaces(text, at);
}

size_t gpt2(const Text& text, size_t at) {
  if (const size_t end = contraction(text, at); end > at) return end;
  const size_t word = text.byte(at) == ' ' ? at + 1 : at;
  if (word < text.size()) {
    const uint16_t c = text.classes(word);
    if (c & in::letter) return text.run(word, in::letter);
    if (c & in::number) return text.run(word, in::number);
    if (!(c & in::space)) return text.run_without(word, in::space | in::letter | in::number);
  }
  return spaces(text, at);
}

// What follows the words in the rules of Llama 3 and later: \p{N}{1,most}| ?[^\s\p{L}\p{N}]+[\r\n]* and
// spaces.
template <int most, uint16_t no_punctuation, bool slashes>
size_t no_word(const Text& text, size_t at) {
  if (text.classes(at) & in::number) return text.numbers(at, most);
  const size_t mark = text.byte(at) == ' ' ? at + 1 : at;
  size_t end = text.run_without(mark, no_punctuation);
  if (end == mark) return lines_and_spaces(text, at);
  while (text.byte(end) == '\n' || text.byte(end) == '\r' || (slashes && text.byte(end) == '/')) ++end;
  return end;
}

bool may_lead_a_word(uint16_t c) {
  return !(c & (in::newline | in::letter | in::number));
}

template <uint16_t letters, int most>
size_t llama3(const Text& text, size_t at) {
  if (const size_t end = contraction_any_case(text, at); end > at) return end;
  const uint16_t c = text.classes(at);
  if (c & letters) return text.run(at, letters);
  if (may_lead_a_word(c)) {
    const size_t word = text.next(at), end = text.run(word, letters);
    if (end > word) return end;
  }
  return no_word<most, in::space | in::number | letters, false>(text, at);
}

// [capitals]*[smalls]+ from `at`, which gives `at` where there are no small ones.
size_t capitals_and_smalls(const Text& text, size_t at, uint16_t none) {
  size_t end = at, behind_small = at;  // of letters without case, which are both
  for (uint16_t c; end < text.size() && ((c = text.classes(end)) & in::capital) && !(c & none);) {
    end = text.next(end);
    if (c & in::small) behind_small = end;
  }
  const size_t smalls = text.run(end, in::small, none);
  return smalls > end ? smalls : behind_small;
}

// Of the two alternatives for words the first that matches, with a character before the word or without.
size_t cased_word(const Text& text, size_t at, uint16_t none) {
  const uint16_t c = text.classes(at);
  const bool leads = may_lead_a_word(c);
  const size_t word = text.next(at);
  if (leads) {
    if (const size_t end = capitals_and_smalls(text, word, none); end > word) return end;
  }
  if (const size_t end = capitals_and_smalls(text, at, none); end > at) return end;
  if (leads) {
    if (const size_t end = text.run(word, in::capital, none); end > word) return end;
  }
  return text.run(at, in::capital, none);
}

template <bool endings, int most, bool slashes, bool han_apart>
size_t gpt4o(const Text& text, size_t at) {
  constexpr uint16_t none = han_apart ? in::han : 0;
  if (han_apart && text.classes(at) & in::han) return text.run(at, in::han);
  if (const size_t end = cased_word(text, at, none); end > at) {
    return endings ? contraction_any_case(text, end) : end;
  }
  return no_word<most, in::space | in::number | in::letter, slashes>(text, at);
}

bool is_ascii_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

size_t deepseek_v3(const Text& text, size_t at) {
  const uint16_t c = text.classes(at);
  const char byte = text.byte(at);
  if (byte > ' ' && byte < '\x7F' && c & (in::punctuation | in::symbol) &&
      is_ascii_letter(text.byte(at + 1))) {
    for (++at; is_ascii_letter(text.byte(at));) ++at;
    return at;
  }
  constexpr uint16_t letters = in::letter | in::mark;
  if (c & letters) return text.run(at, letters);
  if (!(c & (in::newline | in::punctuation | in::symbol))) {
    const size_t word = text.next(at), end = text.run(word, letters);
    if (end > word) return end;
  }
  const size_t mark = byte == ' ' ? at + 1 : at;
  const size_t end = text.run(mark, in::punctuation | in::symbol);
  return end > mark ? text.run(end, in::newline) : lines_and_spaces(text, at);
}

// \s?[...]+
template <uint16_t any>
size_t spaced(const Text& text, size_t at) {
  const uint16_t c = text.classes(at);
  if (c & in::space) {
    const size_t run = text.next(at), end = text.run(run, any);
    if (end > run) return end;
  }
  return text.run(at, any);
}

// \s+$: up to the end, or to the last line end in the run.
size_t trailing_space(const Text& text, size_t at) {
  const size_t end = text.run(at, in::space);
  if (end == at || end == text.size()) return end;
  size_t line = end - 1;
  while (line > at && text.byte(line) != '\n') --line;
  return line;
}

// A run that doesn't end so is looked through once, not from each of its characters.
void cut_trailing_space(std::string_view bytes, std::vector<std::string_view>& pieces) {
  size_t looked = 0;
  cut(bytes, pieces, [&looked](const Text& text, size_t at) {
    if (at < looked) return at;
    const size_t end = trailing_space(text, at);
    if (end == at) looked = text.run(at, in::space);
    return end;
  });
}

template <size_t match(const Text&, size_t)>
void cut_by(std::string_view text, std::vector<std::string_view>& pieces) {
  cut(text, pieces, [](const Text& t, size_t at) { return match(t, at); });
}

template <uint16_t any, int most>
size_t few(const Text& text, size_t at) {
  for (int n = 0; n < most && text.classes(at) & any; ++n) at = text.next(at);
  return at;
}

template <uint16_t any>
size_t run_of(const Text& text, size_t at) {
  return text.run(at, any);
}

struct Known {
  const char* pattern;
  Scanner scanner;
};
constexpr Known kKnown[] = {
    {kGpt2, cut_by<gpt2>},
    {kLlama3, cut_by<llama3<in::letter, 3>>},
    {kQwen2, cut_by<llama3<in::letter, 1>>},
    {kQwen35, cut_by<llama3<in::letter | in::mark, 1>>},
    {kGpt4o, cut_by<gpt4o<true, 3, true, false>>},
    {kTekken, cut_by<gpt4o<false, 1, true, false>>},
    {kKimiK2, cut_by<gpt4o<true, 3, false, true>>},
    {kDeepseekV3, cut_by<deepseek_v3>},
    {kDeepseekV3Han, cut_by<run_of<in::deepseek_v3_han>>},
    {kDeepseekWord, cut_by<spaced<in::deepseek_word>>},
    {kDeepseekPunctuation, cut_by<spaced<in::deepseek_punctuation>>},
    {kDeepseekHan, cut_by<run_of<in::deepseek_han>>},
    {kTrailingSpace, cut_trailing_space},
    {kSpacedLetters, cut_by<spaced<in::letter>>},
    {kSpacedPunctuation, cut_by<spaced<in::punctuation>>},
    {kNewline, cut_by<few<in::newline, 1>>},
    {kDigit, cut_by<few<in::number, 1>>},
    {kDigits, cut_by<few<in::number, 3>>},
};

}  // namespace

Scanner find_scanner(std::string_view pattern) {
  const std::string canonical = canonical_pattern(pattern);
  for (const Known& known : kKnown) {
    if (canonical_pattern(known.pattern) == canonical) return known.scanner;
  }
  return nullptr;
}

}  // namespace tern
