// From Oniguruma's words to PCRE2's.
#include <array>
#include <charconv>

#include "base/error.h"
#include "text/regex.h"
#include "text/utf8.h"

namespace tern {
namespace {

constexpr size_t kLongest = 16384;

// Unicode's White_Space, listed: PCRE2's \s under UCP also takes U+180E.
constexpr std::string_view kWhiteSpace =
    R"(\t-\r\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

constexpr std::string_view kCategories[] = {
    "L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",  "Nd",
    "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm",
    "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Cn", "Co",
};

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string translate() {
    if (pattern_.size() > kLongest) {
      fail(ErrorKind::limit, "a pattern of {} bytes, tern takes {}", pattern_.size(), kLongest);
    }
    if (utf8_valid_prefix(pattern_) != pattern_.size())
      fail(ErrorKind::bad_input, "a pattern that is not UTF-8");
    while (at_ < pattern_.size()) item();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail(ErrorKind::unsupported, "pattern \"{}\": \"{}\" is not what tern runs", pattern_, what);
  }

  std::string_view rest() const { return pattern_.substr(at_); }

  void copy(size_t bytes) {
    out_ += pattern_.substr(at_, bytes);
    at_ += bytes;
  }

  void item() {
    const char c = pattern_[at_];
    if (c == '\\') return escape(false);
    if (c == '[') return character_class();
    if (c == '(') return group();
    if (c == '{') return repeat();
    copy(1);
  }

  void group() {
    for (const std::string_view known : {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>"}) {
      if (rest().starts_with(known)) return copy(known.size());
    }
    if (rest().starts_with("(?") || rest().starts_with("(*")) refuse(rest().substr(0, 4));
    copy(1);
  }

  // {n}, {n,}, {n,m}. What may follow it means other things to the two libraries.
  void repeat() {
    const size_t end = rest().find('}');
    const std::string_view bounds = rest().substr(0, end);
    if (end == std::string_view::npos ||
        bounds.find_first_not_of("0123456789,", 1) != std::string_view::npos || bounds.size() < 2 ||
        bounds[1] == ',') {
      refuse(rest().substr(0, 8));
    }
    copy(end + 1);
    if (rest().starts_with('+') || rest().starts_with('?')) refuse(pattern_.substr(at_ - end - 1, end + 2));
  }

  // Outside of classes, or inside of one without its brackets.
  void escape(bool in_class) {
    const char c = rest().size() > 1 ? rest()[1] : '\0';
    switch (c) {
      case 's':
        return space(in_class);
      case 'S':
        if (in_class) refuse(R"([...\S...])");
        return put("[^" + std::string(kWhiteSpace) + "]", 2);
      case 'd':
        return put(R"(\p{Nd})", 2);
      case 'D':
        return put(R"(\P{Nd})", 2);
      case 'p':
      case 'P':
        return property();
      case 'x':
      case 'u':
        return code_point();
      case 'r':
      case 'n':
      case 't':
        return copy(2);
      default:
        break;
    }
    const bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    if (letter || c == '\0') refuse(rest().substr(0, 2));
    copy(2);
  }

  void put(const std::string& words, size_t consumed) {
    out_ += words;
    at_ += consumed;
  }

  void space(bool in_class) {
    put(in_class ? std::string(kWhiteSpace) : "[" + std::string(kWhiteSpace) + "]", 2);
  }

  void property() {
    const size_t end = rest().find('}');
    if (rest().size() < 4 || rest()[2] != '{' || end == std::string_view::npos) refuse(rest().substr(0, 3));
    const std::string_view name = rest().substr(3, end - 3);
    const std::string letter(1, rest()[1]);
    if (name == "Han") return put("\\" + letter + "{sc:Han}", end + 1);
    for (const std::string_view known : kCategories) {
      if (name == known) return copy(end + 1);
    }
    refuse(rest().substr(0, end + 1));
  }

  void code_point() {
    std::string_view digits;
    size_t consumed = 0;
    if (rest().starts_with("\\x{")) {
      const size_t end = rest().find('}');
      if (end == std::string_view::npos) refuse(rest().substr(0, 8));
      digits = rest().substr(3, end - 3);
      consumed = end + 1;
    } else {
      consumed = rest()[1] == 'x' ? 4 : 6;
      if (rest().size() < consumed) refuse(rest());
      digits = rest().substr(2, consumed - 2);
    }
    uint32_t value = 0;
    const auto [last, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value, 16);
    if (error != std::errc{} || last != digits.data() + digits.size() || value > 0x10FFFF) {
      refuse(rest().substr(0, consumed));
    }
    put(fmt::format("\\x{{{:X}}}", value), consumed);
  }

  // [...&&[^...]] becomes (?![...])[...]: PCRE2's classes know no intersection.
  void character_class() {
    const size_t begin = out_.size();
    copy(1);
    if (rest().starts_with('^')) copy(1);
    if (rest().starts_with(']')) refuse("[]");
    while (!rest().starts_with(']')) {
      if (rest().empty()) fail(ErrorKind::bad_input, "pattern \"{}\": a class without an end", pattern_);
      if (rest().starts_with("&&")) return intersection(begin);
      if (rest()[0] == '[') refuse("[...[...");
      if (rest()[0] == '\\') {
        escape(true);
      } else {
        copy(1);
      }
    }
    copy(1);
  }

  void intersection(size_t begin) {
    const std::string left = out_.substr(begin) + "]";
    out_.resize(begin);
    at_ += 2;
    if (left.starts_with("[^") || !rest().starts_with("[^")) refuse("&&");
    out_ += "(?:(?!";
    const size_t excluded = out_.size();
    character_class();
    out_.erase(excluded + 1, 1);  // the ^
    if (!rest().starts_with(']')) refuse("&&");
    ++at_;
    out_ += ")" + left + ")";
  }

  const std::string_view pattern_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string pcre2_pattern(std::string_view pattern) {
  return Translator(pattern).translate();
}

std::string canonical_pattern(std::string_view pattern) {
  std::string out;
  for (size_t at = 0; at < pattern.size();) {
    const Utf8Step step = utf8_step(pattern.substr(at));
    const std::string_view bytes = pattern.substr(at, step.bytes);
    at += step.bytes;
    if (bytes == "\r") {
      out += "\\r";
    } else if (bytes == "\n") {
      out += "\\n";
    } else if (bytes == "\t") {
      out += "\\t";
    } else if (step.kind != Utf8Kind::character || bytes.size() == 1) {
      out += bytes;
    } else {
      out += fmt::format("\\x{{{:X}}}", static_cast<uint32_t>(utf8_code_point(bytes)));
    }
  }
  return out;
}

}  // namespace tern
