#include "text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <optional>
#include <utility>

#include "text/jinja/unicode.h"
#include "text/utf8.h"

namespace tern::jinja {
namespace {

constexpr size_t kMaxSource = 4 << 20;  // bytes; real templates have some kilobytes

bool is_blank(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_char(char c) {
  return is_name_start(c) || is_digit(c);
}

std::string with_plain_newlines(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      text += source[i];
    }
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(with_plain_newlines(source)) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) root();
    add(Token::Kind::end, {});
    return std::move(tokens_);
  }

 private:
  enum class Tag { comment, block, print };

  char peek(size_t ahead = 0) const { return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0'; }
  bool starts(std::string_view text) const { return std::string_view(source_).substr(at_).starts_with(text); }

  void add(Token::Kind kind, std::string text) {
    Token token;
    token.kind = kind;
    token.line = line_;
    token.text = std::move(text);
    tokens_.push_back(std::move(token));
  }

  void move_to(size_t at) {
    line_ += static_cast<int>(std::count(source_.begin() + at_, source_.begin() + at, '\n'));
    at_ = at;
  }

  /// Data up to the next tag, then the tag.
  void root() {
    size_t open = at_;
    for (;; ++open) {
      open = source_.find('{', open);
      if (open == std::string::npos || open + 1 >= source_.size()) return data_to_the_end();
      if (std::string_view("#%{").find(source_[open + 1]) != std::string_view::npos) break;
    }
    const char kind = source_[open + 1];
    const char sign = open + 2 < source_.size() ? source_[open + 2] : '\0';
    const bool has_sign = sign == '-' || sign == '+';
    data(open, has_sign ? sign : '\0', kind == '{');
    const int line = line_;
    at_ = open + 2 + (has_sign ? 1 : 0);
    if (kind == '#') return comment(line);
    if (kind == '%') {
      if (const auto after = raw_begin()) return raw(*after, line);
      add(Token::Kind::block_begin, {});
      return tag(Tag::block, line);
    }
    add(Token::Kind::print_begin, {});
    tag(Tag::print, line);
  }

  void data_to_the_end() {
    if (at_ < source_.size()) add(Token::Kind::data, source_.substr(at_));
    move_to(source_.size());
  }

  /// The data before a tag at `end`, without the white space that the tag takes away.
  void data(size_t end, char sign, bool print) {
    std::string text = source_.substr(at_, end - at_);
    if (sign == '-') {
      text.resize(run_begin(text, text.size()));  // the white space beyond ASCII as well, as Python's strip()
    } else if (sign != '+' && !print) {
      const size_t last_line = text.rfind('\n') + 1;  // 0 where there is none
      if ((last_line > 0 || line_starting_) &&
          std::all_of(text.begin() + static_cast<ptrdiff_t>(last_line), text.end(), is_blank))
        text.resize(last_line);
    }
    if (!text.empty()) add(Token::Kind::data, std::move(text));
    move_to(end);
    line_starting_ = false;
  }

  size_t skip_spaces(size_t at) const {
    while (at < source_.size() && is_blank(source_[at])) ++at;
    return at;
  }

  /// Past the end of a tag that stands at `at`: "-%}" takes the white space after it, "%}" one newline.
  std::optional<size_t> tag_end(size_t at, std::string_view close, bool trims) const {
    const std::string_view rest = std::string_view(source_).substr(at);
    if (rest.starts_with('-') && rest.substr(1).starts_with(close)) return skip_spaces(at + 1 + close.size());
    if (trims && rest.starts_with('+') && rest.substr(1).starts_with(close)) return at + 1 + close.size();
    if (!rest.starts_with(close)) return std::nullopt;
    const size_t end = at + close.size();
    return trims && end < source_.size() && source_[end] == '\n' ? end + 1 : end;
  }

  void leave_tag(size_t end) {
    line_starting_ = end > 0 && source_[end - 1] == '\n';
    move_to(end);
  }

  void comment(int line) {
    const size_t close = source_.find("#}", at_);
    if (close == std::string::npos) fail_at(line, ErrorKind::bad_input, "a comment has no end, expected #}}");
    const bool sign = close > at_ && (source_[close - 1] == '-' || source_[close - 1] == '+');
    leave_tag(*tag_end(close - (sign ? 1 : 0), "#}", true));
  }

  /// Past "raw %}" where the block that begins here is one.
  std::optional<size_t> raw_begin() const {
    size_t at = skip_spaces(at_);
    if (source_.compare(at, 3, "raw") != 0) return std::nullopt;
    at = skip_spaces(at + 3);
    if (source_.compare(at, 2, "%}") == 0) return at + 2;
    if (source_.compare(at, 3, "-%}") == 0) return skip_spaces(at + 3);
    return std::nullopt;
  }

  void raw(size_t begin, int line) {
    leave_tag(begin);
    for (size_t open = at_;; open += 2) {
      open = source_.find("{%", open);
      if (open == std::string::npos)
        fail_at(line, ErrorKind::bad_input, "a raw block has no end, expected {{% endraw %}}");
      size_t at = open + 2;
      const char sign = at < source_.size() ? source_[at] : '\0';
      const bool has_sign = sign == '-' || sign == '+';
      at = skip_spaces(at + (has_sign ? 1 : 0));
      if (source_.compare(at, 6, "endraw") != 0) continue;
      const auto end = tag_end(skip_spaces(at + 6), "%}", true);
      if (!end) continue;
      data(open, has_sign ? sign : '\0', false);
      return leave_tag(*end);
    }
  }

  void tag(Tag tag, int line) {
    const std::string_view close = tag == Tag::block ? "%}" : "}}";
    while (at_ < source_.size()) {
      if (brackets_.empty()) {
        if (const auto end = tag_end(at_, close, tag == Tag::block)) {
          add(tag == Tag::block ? Token::Kind::block_end : Token::Kind::print_end, {});
          return leave_tag(*end);
        }
      }
      token();
    }
    fail_at(line, ErrorKind::bad_input, "a tag has no end, expected {}", close);
  }

  void token() {
    const char c = peek();
    if (is_blank(c)) return move_to(at_ + 1);
    if (is_digit(c)) return number();
    if (is_name_start(c)) return name();
    if (c == '\'' || c == '"') return string(c);
    op();
  }

  void name() {
    size_t end = at_;
    while (end < source_.size() && is_name_char(source_[end])) ++end;
    add(Token::Kind::name, source_.substr(at_, end - at_));
    at_ = end;
  }

  /// Past digits at `at` with single underscores between them; `at` where there is none.
  size_t digits(size_t at, std::string_view allowed) const {
    const auto is = [&](size_t i) {
      return i < source_.size() &&
             allowed.find(static_cast<char>(std::tolower(source_[i]))) != std::string_view::npos;
    };
    if (!is(at)) return at;
    while (is(at) || (at < source_.size() && source_[at] == '_' && is(at + 1))) ++at;
    return at;
  }

  static std::string without_underscores(std::string_view text) {
    std::string plain(text);
    std::erase(plain, '_');
    return plain;
  }

  void number() {
    constexpr std::string_view kDecimal = "0123456789";
    const size_t whole = digits(at_, kDecimal);
    const bool after_point = at_ > 0 && source_[at_ - 1] == '.';
    size_t end = whole;
    if (end < source_.size() && source_[end] == '.') {
      const size_t fraction = digits(end + 1, kDecimal);
      if (fraction > end + 1) end = fraction;
    }
    if (end < source_.size() && (source_[end] == 'e' || source_[end] == 'E')) {
      size_t exponent = end + 1;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) ++exponent;
      const size_t after = digits(exponent, kDecimal);
      if (after > exponent) end = after;
    }
    if (end > whole && !after_point) return floating(end);
    integer(whole);
  }

  void floating(size_t end) {
    add(Token::Kind::floating, {});
    tokens_.back().floating =
        std::strtod(without_underscores(source_.substr(at_, end - at_)).c_str(), nullptr);
    at_ = end;
  }

  void integer(size_t whole) {
    static constexpr std::pair<const char*, std::pair<int, std::string_view>> kBases[] = {
        {"0b", {2, "01"}}, {"0o", {8, "01234567"}}, {"0x", {16, "0123456789abcdef"}}};
    for (const auto& [prefix, base] : kBases) {
      if (peek() != prefix[0] || std::tolower(peek(1)) != prefix[1]) continue;
      const size_t begin = at_ + 2 + (peek(2) == '_' ? 1 : 0);
      const size_t end = digits(begin, base.second);
      if (end > begin) return add_integer(begin, end, base.first);
    }
    if (peek() == '0') {  // only more zeros may follow
      whole = digits(at_, "0");
    }
    add_integer(at_, whole, 10);
  }

  void add_integer(size_t begin, size_t end, int base) {
    const std::string text = without_underscores(source_.substr(begin, end - begin));
    int64_t value = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc{} || rest != text.data() + text.size())
      fail_at(line_, ErrorKind::limit, "the integer {} does not fit into 64 bits", text);
    add(Token::Kind::integer, source_.substr(begin, end - begin));
    tokens_.back().integer = value;
    at_ = end;
  }

  void string(char quote) {
    const int line = line_;
    std::string value;
    size_t at = at_ + 1;
    while (at < source_.size() && source_[at] != quote) {
      if (source_[at] == '\\' && at + 1 < source_.size()) {
        at = escape(at + 1, value);
      } else {
        value += source_[at++];
      }
    }
    if (at >= source_.size()) fail_at(line, ErrorKind::bad_input, "a string has no end, expected {}", quote);
    add(Token::Kind::string, std::move(value));
    move_to(at + 1);
  }

  /// What follows a backslash, as in Python's strings; an unknown escape stays as it is. Returns past it.
  size_t escape(size_t at, std::string& value) {
    const char c = source_[at];
    static constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t known = kFrom.find(c); known != std::string_view::npos) {
      value += kTo[known];
      return at + 1;
    }
    if (c == '\n') return at + 1;
    if (c >= '0' && c <= '7') return coded(at, 3, 8, false, value);
    if (c == 'x') return coded(at + 1, 2, 16, true, value);
    if (c == 'u') return coded(at + 1, 4, 16, true, value);
    if (c == 'U') return coded(at + 1, 8, 16, true, value);
    if (c == 'N') fail_at(line_, ErrorKind::unsupported, "the escape \\N");
    value += '\\';
    return at;
  }

  size_t coded(size_t at, size_t most, uint32_t base, bool exact, std::string& value) {
    uint32_t code = 0;
    size_t n = 0;
    for (; n < most && at + n < source_.size(); ++n) {
      const char c = static_cast<char>(std::tolower(source_[at + n]));
      const size_t digit = std::string_view("0123456789abcdef").find(c);
      if (digit >= base) break;
      code = code * base + static_cast<uint32_t>(digit);
    }
    const bool character = code <= 0x10FFFF && (code < 0xD800 || code > 0xDFFF);
    if ((exact && n < most) || !character)
      fail_at(line_, ErrorKind::bad_input, "a string has a broken escape, expected {} digits of a character",
              most);
    value += utf8_of(code);
    return at + n;
  }

  void op() {
    static constexpr std::array<std::string_view, 26> kOps = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto found =
        std::find_if(kOps.begin(), kOps.end(), [&](std::string_view op) { return starts(op); });
    if (found == kOps.end())
      fail_at(line_, ErrorKind::bad_input, "unexpected character 0x{:02X} in a tag",
              static_cast<unsigned char>(peek()));
    balance((*found)[0]);
    add(Token::Kind::op, std::string(*found));
    at_ += found->size();
  }

  void balance(char c) {
    static constexpr std::string_view kOpen = "([{", kClose = ")]}";
    if (const size_t open = kOpen.find(c); open != std::string_view::npos) brackets_ += kClose[open];
    if (kClose.find(c) == std::string_view::npos) return;
    if (brackets_.empty() || brackets_.back() != c)
      fail_at(line_, ErrorKind::bad_input, "unexpected {}, expected {}", c,
              brackets_.empty() ? std::string("none") : brackets_.substr(brackets_.size() - 1));
    brackets_.pop_back();
  }

  std::string source_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;  ///< what was read last ended a line
  std::string brackets_;       ///< the closing ones that are due
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view source) {
  if (source.size() > kMaxSource)
    fail(ErrorKind::limit, "a template of {} bytes, at most {} are read", source.size(), kMaxSource);
  if (utf8_valid_prefix(source) != source.size())
    fail(ErrorKind::bad_input, "a template must be UTF-8, byte {} is not", utf8_valid_prefix(source));
  return Lexer(source).run();
}

}  // namespace tern::jinja
