#include "text/jinja/parser_expressions.h"

#include <algorithm>
#include <memory>

#include "text/jinja/functions.h"

namespace tern::jinja {

ExpressionParser::ExpressionParser(std::string_view source) : TokenReader(source) {
  tree_.loop = symbol("loop");
  tree_.varargs = symbol("varargs");
  tree_.kwargs = symbol("kwargs");
}

int ExpressionParser::symbol(const std::string& name) {
  const auto [at, fresh] = symbols_.emplace(name, static_cast<int>(tree_.names.size()));
  if (fresh) tree_.names.push_back(name);
  return at->second;
}

std::optional<Value> ExpressionParser::constant_named(std::string_view name) {
  if (name == "true" || name == "True") return Value(true);
  if (name == "false" || name == "False") return Value(false);
  if (name == "none" || name == "None") return Value(None{});
  return std::nullopt;
}

ExpressionPtr ExpressionParser::make(Kind kind, int line) {
  auto made = std::make_unique<Expression>();
  made->kind = kind;
  made->line = line;
  return made;
}
ExpressionPtr ExpressionParser::make(Kind kind, int line, ExpressionPtr child) {
  ExpressionPtr made = make(kind, line);
  add_child(*made, std::move(child));
  return made;
}
void ExpressionParser::add_child(Expression& parent, ExpressionPtr child) {
  deepen(parent, child);
  parent.children.push_back(std::move(child));
}
void ExpressionParser::deepen(Expression& parent, const ExpressionPtr& child) {
  constexpr int kMaxDepth = 400;  // a + b + c + ... grows it by one each
  if (!child) return;
  parent.depth = std::max(parent.depth, child->depth + 1);
  if (parent.depth > kMaxDepth)
    fail_at(parent.line, ErrorKind::limit, "an expression of more than {} levels", kMaxDepth);
}
ExpressionPtr ExpressionParser::constant(Value value, int line) {
  ExpressionPtr made = make(Kind::constant, line);
  made->value = std::move(value);
  return made;
}

ExpressionPtr ExpressionParser::tuple(const Tuple& rule) {
  const int line = now().line;
  std::vector<ExpressionPtr> items;
  bool is_tuple = false;
  for (;;) {
    if (!items.empty()) expect_op(",");
    if (tuple_ends(rule.end)) break;
    items.push_back(rule.condition ? expression() : either());
    if (!now().is_op(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return std::move(items[0]);
  if (!is_tuple && !rule.empty_allowed) unexpected("an expression");
  ExpressionPtr made = make(Kind::tuple, line);
  for (ExpressionPtr& item : items) add_child(*made, std::move(item));
  return made;
}

bool ExpressionParser::tuple_ends(std::string_view end) const {
  const Token& token = now();
  return token.kind == Token::Kind::print_end || token.kind == Token::Kind::block_end || token.is_op(")") ||
         token.is_name(end);
}

ExpressionPtr ExpressionParser::expression() {
  const Nested nested(*this);
  ExpressionPtr left = either();
  while (now().is_name("if")) {
    ExpressionPtr made = make(Kind::choice, take().line, std::move(left));
    ++conditional_;
    add_child(*made, either());
    add_child(*made, skip_name("else") ? expression() : nullptr);
    --conditional_;
    left = std::move(made);
  }
  return left;
}

ExpressionPtr ExpressionParser::either() {
  ExpressionPtr left = both();
  while (now().is_name("or")) left = pair(Kind::either, std::move(left), &ExpressionParser::both);
  return left;
}
ExpressionPtr ExpressionParser::both() {
  ExpressionPtr left = negation();
  while (now().is_name("and")) left = pair(Kind::both, std::move(left), &ExpressionParser::negation);
  return left;
}
ExpressionPtr ExpressionParser::pair(Kind kind, ExpressionPtr left,
                                     ExpressionPtr (ExpressionParser::*right)()) {
  ExpressionPtr made = make(kind, take().line, std::move(left));
  add_child(*made, (this->*right)());
  return made;
}

ExpressionPtr ExpressionParser::negation() {
  if (!now().is_name("not")) return comparison();
  const Nested nested(*this);
  ExpressionPtr made = make(Kind::negate, take().line);
  add_child(*made, negation());
  return made;
}

std::optional<Comparison> ExpressionParser::comparison_here() {
  static constexpr std::pair<std::string_view, Comparison> kOps[] = {
      {"==", Comparison::equal},      {"!=", Comparison::unequal}, {"<", Comparison::less},
      {"<=", Comparison::less_equal}, {">", Comparison::greater},  {">=", Comparison::greater_equal}};
  for (const auto& [op, comparison] : kOps) {
    if (skip_op(op)) return comparison;
  }
  if (skip_name("in")) return Comparison::in;
  if (now().is_name("not") && after().is_name("in")) {
    take();
    take();
    return Comparison::not_in;
  }
  return std::nullopt;
}

ExpressionPtr ExpressionParser::comparison() {
  const int line = now().line;
  ExpressionPtr left = sum();
  ExpressionPtr made;
  while (const auto op = comparison_here()) {
    if (!made) made = make(Kind::compare, line, std::move(left));
    made->comparisons.push_back(*op);
    add_child(*made, sum());
  }
  return made ? std::move(made) : std::move(left);
}

ExpressionPtr ExpressionParser::arithmetic(ExpressionPtr left,
                                           std::initializer_list<std::pair<std::string_view, Operator>> ops,
                                           ExpressionPtr (ExpressionParser::*next)()) {
  for (;;) {
    const auto found =
        std::find_if(ops.begin(), ops.end(), [&](const auto& op) { return now().is_op(op.first); });
    if (found == ops.end()) return left;
    ExpressionPtr made = make(Kind::arithmetic, take().line, std::move(left));
    made->op = found->second;
    add_child(*made, (this->*next)());
    left = std::move(made);
  }
}

ExpressionPtr ExpressionParser::sum() {
  return arithmetic(joined(), {{"+", Operator::add}, {"-", Operator::subtract}}, &ExpressionParser::joined);
}
ExpressionPtr ExpressionParser::joined() {
  const int line = now().line;
  ExpressionPtr first = product();
  if (!now().is_op("~")) return first;
  ExpressionPtr made = make(Kind::join, line, std::move(first));
  while (skip_op("~")) add_child(*made, product());
  return made;
}
ExpressionPtr ExpressionParser::product() {
  return arithmetic(power(),
                    {{"*", Operator::multiply},
                     {"/", Operator::divide},
                     {"//", Operator::floor_divide},
                     {"%", Operator::modulo}},
                    &ExpressionParser::power);
}
ExpressionPtr ExpressionParser::power() {
  return arithmetic(with_filters(), {{"**", Operator::power}}, &ExpressionParser::with_filters);
}
ExpressionPtr ExpressionParser::with_filters() {
  return filters_and_tests(unary());
}

ExpressionPtr ExpressionParser::unary() {
  const Nested nested(*this);
  if (now().is_op("-") || now().is_op("+")) {
    const Token& sign = take();
    ExpressionPtr made = make(sign.text == "-" ? Kind::minus : Kind::plus, sign.line);
    add_child(*made, unary());
    return postfix(std::move(made));
  }
  return postfix(primary());
}

ExpressionPtr ExpressionParser::primary() {
  const Token& token = now();
  switch (token.kind) {
    case Token::Kind::name:
      return name_or_constant();
    case Token::Kind::string: {
      std::string text = take().text;
      while (now().kind == Token::Kind::string) text += take().text;
      return constant(Text::trusted_text(std::move(text)), token.line);
    }
    case Token::Kind::integer:
      return constant(take().integer, token.line);
    case Token::Kind::floating:
      return constant(take().floating, token.line);
    default:
      break;
  }
  if (skip_op("(")) {
    ExpressionPtr inner = tuple({.empty_allowed = true});
    expect_op(")");
    return inner;
  }
  if (skip_op("[")) return list(token.line);
  if (skip_op("{")) return dict(token.line);
  unexpected("an expression");
}

ExpressionPtr ExpressionParser::name_or_constant() {
  const Token& token = take();
  if (auto value = constant_named(token.text)) return constant(std::move(*value), token.line);
  ExpressionPtr made = make(Kind::name, token.line);
  made->symbol = symbol(token.text);
  if (macro_ && made->symbol == tree_.varargs) macro_->takes_varargs = true;
  if (macro_ && made->symbol == tree_.kwargs) macro_->takes_kwargs = true;
  return made;
}

ExpressionPtr ExpressionParser::list(int line) {
  ExpressionPtr made = make(Kind::list, line);
  items_until("]", [&] { add_child(*made, expression()); });
  return made;
}

ExpressionPtr ExpressionParser::dict(int line) {
  ExpressionPtr made = make(Kind::dict, line);
  items_until("}", [&] {
    add_child(*made, expression());
    expect_op(":");
    add_child(*made, expression());
  });
  return made;
}

ExpressionPtr ExpressionParser::postfix(ExpressionPtr node) {
  for (;;) {
    if (now().is_op(".")) {
      node = attribute(std::move(node));
    } else if (now().is_op("[")) {
      node = subscript(std::move(node));
    } else if (now().is_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::attribute(ExpressionPtr node) {
  const int line = take().line;
  if (now().kind == Token::Kind::integer) {
    ExpressionPtr made = make(Kind::item, line, std::move(node));
    add_child(*made, constant(take().integer, line));
    return made;
  }
  ExpressionPtr made = make(Kind::attribute, line, std::move(node));
  made->text = name();
  return made;
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr node) {
  const int line = take().line;
  ExpressionPtr index = now().is_op(":") ? nullptr : expression();
  if (now().is_op(":")) return slice(std::move(node), std::move(index), line);
  if (now().is_op(",")) {
    ExpressionPtr several = make(Kind::tuple, line, std::move(index));
    while (skip_op(",")) {
      if (now().is_op(":")) fail_at(now().line, ErrorKind::unsupported, "a slice among several indices");
      add_child(*several, expression());
    }
    index = std::move(several);
  }
  ExpressionPtr made = make(Kind::item, line, std::move(node));
  add_child(*made, std::move(index));
  expect_op("]");
  return made;
}

ExpressionPtr ExpressionParser::slice(ExpressionPtr node, ExpressionPtr begin, int line) {
  ExpressionPtr made = make(Kind::slice, line, std::move(node));
  add_child(*made, std::move(begin));
  for (int part = 0; part < 2; ++part) {
    const bool there = skip_op(":") && !now().is_op(":") && !now().is_op("]");
    add_child(*made, there ? expression() : nullptr);
  }
  expect_op("]");
  return made;
}

ExpressionPtr ExpressionParser::call(ExpressionPtr node) {
  ExpressionPtr made = make(Kind::call, now().line, std::move(node));
  arguments(*made);
  return made;
}

void ExpressionParser::arguments(Expression& owner) {
  const Nested nested(*this);
  expect_op("(");
  items_until(")", [&] { argument(owner); });
}

void ExpressionParser::argument(Expression& owner) {
  Arguments& all = owner.arguments;
  const int line = now().line;
  const auto ensure = [&](bool right) {
    if (!right) fail_at(line, ErrorKind::bad_input, "arguments of a call in a wrong order");
  };
  if (skip_op("*")) {
    ensure(!all.star && !all.star_star);
    deepen(owner, all.star = expression());
  } else if (skip_op("**")) {
    ensure(!all.star_star);
    deepen(owner, all.star_star = expression());
  } else if (now().kind == Token::Kind::name && after().is_op("=")) {
    ensure(!all.star_star);
    const std::string key = take().text;
    take();
    for (const auto& [other, ignored] : all.named) {
      if (other == key) fail_at(line, ErrorKind::bad_input, "argument {} is given twice", key);
    }
    all.named.emplace_back(key, expression());
    deepen(owner, all.named.back().second);
  } else {
    ensure(!all.star && !all.star_star && all.named.empty());
    all.positional.push_back(expression());
    deepen(owner, all.positional.back());
  }
}

ExpressionPtr ExpressionParser::filters_and_tests(ExpressionPtr node) {
  for (;;) {
    if (now().is_op("|")) {
      node = filters(std::move(node));
    } else if (now().is_name("is")) {
      node = test(std::move(node));
    } else if (now().is_op("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr node, bool inlined) {
  for (bool follows = inlined || skip_op("|"); follows; follows = skip_op("|")) {
    ExpressionPtr made = make(Kind::filter, now().line, std::move(node));
    made->text = dotted_name();
    if (now().is_op("(")) arguments(*made);
    if (conditional_ == 0 && !is_filter(made->text))
      fail_at(made->line, ErrorKind::bad_input, "no filter named {}", made->text);
    node = std::move(made);
  }
  return node;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr node) {
  const int line = take().line;
  const bool negated = skip_name("not");
  ExpressionPtr made = make(Kind::test, line, std::move(node));
  made->text = dotted_name();
  if (now().is_op("(")) {
    arguments(*made);
  } else if (test_argument_follows()) {
    if (now().is_name("is")) fail_at(line, ErrorKind::bad_input, "tests can't be chained with is");
    made->arguments.positional.push_back(postfix(primary()));
    deepen(*made, made->arguments.positional.back());
  }
  if (conditional_ == 0 && !is_test(made->text))
    fail_at(line, ErrorKind::bad_input, "no test named {}", made->text);
  return negated ? make(Kind::negate, line, std::move(made)) : std::move(made);
}

bool ExpressionParser::test_argument_follows() const {
  const Token& token = now();
  if (token.is_name("else") || token.is_name("or") || token.is_name("and")) return false;
  return token.kind == Token::Kind::name || token.kind == Token::Kind::string ||
         token.kind == Token::Kind::integer || token.kind == Token::Kind::floating || token.is_op("(") ||
         token.is_op("[") || token.is_op("{");
}

}  // namespace tern::jinja
