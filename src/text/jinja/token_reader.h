// What the parser's two halves share: the tokens, one after the other.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/lexer.h"

namespace tern::jinja {

class TokenReader {
 protected:
  explicit TokenReader(std::string_view source) : tokens_(tokenize(source)) {}

  const Token& now() const { return tokens_[at_]; }
  const Token& after() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& take() {
    const Token& token = tokens_[at_];
    if (token.kind != Token::Kind::end) ++at_;
    return token;
  }
  /// Takes the token where it is this one; false where it is another.
  bool skip_op(std::string_view op) { return skip(now().is_op(op)); }
  bool skip_name(std::string_view name) { return skip(now().is_name(name)); }

  /// Take the token; throw Error{bad_input} where it is another.
  void expect_op(std::string_view op) {
    if (!skip_op(op)) unexpected(op);
  }
  void expect_name(std::string_view name) {
    if (!skip_name(name)) unexpected(name);
  }
  void expect(Token::Kind kind, std::string_view what) {
    if (!skip(now().kind == kind)) unexpected(what);
  }
  std::string name() {
    if (now().kind != Token::Kind::name) unexpected("a name");
    return take().text;
  }
  std::string dotted_name() {
    std::string text = name();
    while (skip_op(".")) text += "." + name();
    return text;
  }
  /// Items, each taken by `item`, with commas between them and perhaps after the last one; takes `close`.
  void items_until(std::string_view close, auto&& item) {
    while (!skip_op(close)) {
      item();
      if (!now().is_op(close)) expect_op(",");
    }
  }

  [[noreturn]] void unexpected(std::string_view expected) const {
    fail_at(now().line, ErrorKind::bad_input, "expected {}, found {}", expected, describe(now()));
  }
  static std::string describe(const Token& token) {
    if (token.kind == Token::Kind::name || token.kind == Token::Kind::op)
      return "\"" + token.text.substr(0, 60) + "\"";
    static constexpr const char* kNames[] = {// in the order of Token::Kind
                                             "text",
                                             "{%",
                                             "%}",
                                             "{{",
                                             "}}",
                                             "a name",
                                             "a string",
                                             "a number",
                                             "a number",
                                             "an operator",
                                             "the template's end"};
    return kNames[static_cast<size_t>(token.kind)];
  }

  /// One bracket or block deeper while it lives.
  class Nested {
   public:
    explicit Nested(TokenReader& reader) : reader_(reader) {
      if (++reader_.nesting_ > kMaxNesting)
        fail_at(reader_.now().line, ErrorKind::limit, "nested deeper than {} levels", kMaxNesting);
    }
    ~Nested() { --reader_.nesting_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    static constexpr int kMaxNesting = 200;
    TokenReader& reader_;
  };

 private:
  bool skip(bool wanted) {
    if (wanted) take();
    return wanted;
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  int nesting_ = 0;
};

}  // namespace tern::jinja
