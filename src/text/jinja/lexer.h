// Template text to tokens, white space controlled as jinja2 does with trim_blocks and lstrip_blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace tern::jinja {

struct Token {
  enum class Kind {
    data,
    block_begin,
    block_end,
    print_begin,
    print_end,
    name,
    string,
    integer,
    floating,
    op,
    end
  };
  Kind kind = Kind::end;
  int line = 1;
  std::string text;  ///< of data, names, operators; a string's value
  int64_t integer = 0;
  double floating = 0;

  bool is_op(std::string_view op) const { return kind == Kind::op && text == op; }
  bool is_name(std::string_view name) const { return kind == Kind::name && text == name; }
};

/// The tokens of a template, Kind::end last. Line ends become "\n" and one at the very end is dropped.
/// Throws Error{bad_input} with the line: text that is not UTF-8, a tag or string without its end, brackets
/// that don't match.
std::vector<Token> tokenize(std::string_view source);

/// Throws Error{kind} that begins with the template's line.
template <typename... Args>
[[noreturn]] void fail_at(int line, ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format("line {}: {}", line, fmt::format(format, std::forward<Args>(args)...)));
}

}  // namespace tern::jinja
