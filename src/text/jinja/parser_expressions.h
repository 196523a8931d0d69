// The part of the parser that reads expressions, from `a if b else c` down to single names.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "text/jinja/ast.h"
#include "text/jinja/token_reader.h"

namespace tern::jinja {

/// Each method takes the tokens of what it is named after, and gives its tree.
class ExpressionParser : protected TokenReader {
 protected:
  explicit ExpressionParser(std::string_view source);

  struct Tuple {
    bool condition = true;      ///< `a if b else c` may stand in it
    std::string_view end = {};  ///< a name that ends it
    bool empty_allowed = false;
  };
  /// Expressions with commas between them are a tuple, one alone is itself.
  ExpressionPtr tuple(const Tuple& rule);
  ExpressionPtr expression();
  /// node | a | b(x); the first "|" is left out where `inlined`.
  ExpressionPtr filters(ExpressionPtr node, bool inlined = false);

  /// The number of a name in the tree.
  int symbol(const std::string& name);
  /// What true, false and none, with a capital or without, stand for; nothing for all other names.
  static std::optional<Value> constant_named(std::string_view name);

  Tree tree_;
  int conditional_ = 0;     ///< branches around it: there unknown filters are errors only when they run
  Macro* macro_ = nullptr;  ///< around it

 private:
  using Kind = Expression::Kind;

  static ExpressionPtr make(Kind kind, int line);
  static ExpressionPtr make(Kind kind, int line, ExpressionPtr child);
  static ExpressionPtr constant(Value value, int line);
  static void add_child(Expression& parent, ExpressionPtr child);
  static void deepen(Expression& parent, const ExpressionPtr& child);

  bool tuple_ends(std::string_view end) const;

  ExpressionPtr either();
  ExpressionPtr both();
  ExpressionPtr pair(Kind kind, ExpressionPtr left, ExpressionPtr (ExpressionParser::*right)());
  ExpressionPtr negation();
  ExpressionPtr comparison();
  std::optional<Comparison> comparison_here();
  ExpressionPtr arithmetic(ExpressionPtr left,
                           std::initializer_list<std::pair<std::string_view, Operator>> ops,
                           ExpressionPtr (ExpressionParser::*next)());
  ExpressionPtr sum();
  ExpressionPtr joined();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr with_filters();
  ExpressionPtr unary();
  ExpressionPtr primary();
  ExpressionPtr name_or_constant();
  ExpressionPtr list(int line);
  ExpressionPtr dict(int line);

  ExpressionPtr postfix(ExpressionPtr node);
  ExpressionPtr attribute(ExpressionPtr node);
  ExpressionPtr subscript(ExpressionPtr node);
  ExpressionPtr slice(ExpressionPtr node, ExpressionPtr begin, int line);
  ExpressionPtr call(ExpressionPtr node);
  void arguments(Expression& owner);
  void argument(Expression& owner);
  ExpressionPtr filters_and_tests(ExpressionPtr node);
  ExpressionPtr test(ExpressionPtr node);
  bool test_argument_follows() const;

  std::unordered_map<std::string, int> symbols_;
};

}  // namespace tern::jinja
