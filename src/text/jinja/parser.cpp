#include "text/jinja/parser.h"

#include <algorithm>
#include <initializer_list>
#include <unordered_map>

#include "text/jinja/functions.h"
#include "text/jinja/lexer.h"

namespace tern::jinja {
namespace {

constexpr int kMaxNesting = 200;  // brackets and blocks inside each other
constexpr int kMaxDepth = 400;    // of an expression's tree: a + b + c + ... grows it by one each

using Kind = Expression::Kind;

class Parser {
 public:
  explicit Parser(std::string_view source) : tokens_(tokenize(source)) {}

  Tree run() {
    tree_.loop = symbol("loop");
    tree_.varargs = symbol("varargs");
    tree_.kwargs = symbol("kwargs");
    tree_.body = statements({});
    return std::move(tree_);
  }

 private:
  // --- tokens

  const Token& now() const { return tokens_[at_]; }
  const Token& after() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  const Token& take() {
    const Token& token = tokens_[at_];
    if (token.kind != Token::Kind::end) ++at_;
    return token;
  }
  bool skip_op(std::string_view op) {
    if (!now().is_op(op)) return false;
    take();
    return true;
  }
  bool skip_name(std::string_view name) {
    if (!now().is_name(name)) return false;
    take();
    return true;
  }
  static std::string describe(const Token& token) {
    switch (token.kind) {
      case Token::Kind::data:
        return "text";
      case Token::Kind::block_begin:
        return "{%";
      case Token::Kind::block_end:
        return "%}";
      case Token::Kind::print_begin:
        return "{{";
      case Token::Kind::print_end:
        return "}}";
      case Token::Kind::string:
        return "a string";
      case Token::Kind::integer:
      case Token::Kind::floating:
        return "a number";
      case Token::Kind::name:
      case Token::Kind::op:
        return "\"" + token.text.substr(0, 60) + "\"";
      case Token::Kind::end:
        return "the template's end";
    }
    return "";
  }
  [[noreturn]] void unexpected(std::string_view expected) const {
    fail_at(now().line, ErrorKind::bad_input, "expected {}, found {}", expected, describe(now()));
  }
  void expect_op(std::string_view op) {
    if (!skip_op(op)) unexpected(op);
  }
  void expect_name(std::string_view name) {
    if (!skip_name(name)) unexpected(name);
  }
  void expect(Token::Kind kind, std::string_view what) {
    if (now().kind != kind) unexpected(what);
    take();
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

  int symbol(const std::string& name) {
    const auto [at, fresh] = symbols_.emplace(name, static_cast<int>(tree_.names.size()));
    if (fresh) tree_.names.push_back(name);
    return at->second;
  }

  /// One bracket or block deeper while it lives.
  class Nested {
   public:
    explicit Nested(Parser& parser) : parser_(parser) {
      if (++parser_.nesting_ > kMaxNesting)
        fail_at(parser_.now().line, ErrorKind::limit, "nested deeper than {} levels", kMaxNesting);
    }
    ~Nested() { --parser_.nesting_; }
    Nested(const Nested&) = delete;
    Nested& operator=(const Nested&) = delete;

   private:
    Parser& parser_;
  };

  // --- statements

  /// Up to a block that begins with one of `ends` (not taken), or the template's end where there are none.
  Statements statements(std::initializer_list<std::string_view> ends) {
    const Nested nested(*this);
    Statements list;
    for (;;) {
      const Token& token = now();
      if (token.kind == Token::Kind::end) {
        if (ends.size() == 0) return list;
        unexpected(*ends.begin());
      }
      if (token.kind == Token::Kind::data) {
        Statement data = start(Statement::Kind::data);
        data.text = std::make_shared<const Text>(Text::trusted_text(take().text));
        list.push_back(std::move(data));
      } else if (token.kind == Token::Kind::print_begin) {
        Statement print = start(Statement::Kind::print);
        take();
        print.expression = tuple(Tuple{});
        expect(Token::Kind::print_end, "}}");
        list.push_back(std::move(print));
      } else {
        take();  // {%
        if (std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return now().is_name(end); }))
          return list;
        list.push_back(block());
      }
    }
  }

  std::unique_ptr<Statements> body(std::initializer_list<std::string_view> ends) {
    expect(Token::Kind::block_end, "%}");
    return std::make_unique<Statements>(statements(ends));
  }
  void end_block(std::string_view name) {
    expect_name(name);
    expect(Token::Kind::block_end, "%}");
  }

  Statement start(Statement::Kind kind) const {
    Statement statement;
    statement.kind = kind;
    statement.line = now().line;
    return statement;
  }

  Statement block() {
    const Token& token = now();
    if (token.kind != Token::Kind::name) unexpected("a block's name");
    if (token.text == "for") return loop();
    if (token.text == "if") return branch();
    if (token.text == "set") return set();
    if (token.text == "macro") return macro();
    if (token.text == "filter") return filter_block();
    if (token.text == "with") return with();
    if (token.text == "generation") return generation();
    if (token.text == "break" || token.text == "continue") return jump();
    if (token.text == "print") return print_block();
    static constexpr std::string_view kOthers[] = {"extends", "block",      "include", "import",
                                                   "from",    "autoescape", "call"};
    if (std::find(std::begin(kOthers), std::end(kOthers), token.text) != std::end(kOthers))
      fail_at(token.line, ErrorKind::unsupported, "the block {}", token.text);
    fail_at(token.line, ErrorKind::bad_input, "unknown block {}", describe(token));
  }

  Statement loop() {
    Statement statement = start(Statement::Kind::loop);
    take();
    statement.target = target("in", false);
    expect_name("in");
    statement.expression = tuple({.condition = false, .end = "recursive"});
    if (skip_name("if")) statement.condition = expression();
    if (now().is_name("recursive")) fail_at(now().line, ErrorKind::unsupported, "a recursive for");
    ++loops_;
    statement.body = body({"endfor", "else"});
    --loops_;
    if (skip_name("else")) statement.otherwise = body({"endfor"});
    end_block("endfor");
    return statement;
  }

  Statement branch() {
    Statement statement = start(Statement::Kind::branch);
    const Nested nested(*this);
    take();
    statement.expression = tuple({.condition = false});
    ++conditional_;
    statement.body = body({"elif", "else", "endif"});
    if (now().is_name("elif")) {
      statement.otherwise = std::make_unique<Statements>();
      statement.otherwise->push_back(branch());  // takes the endif
      --conditional_;
      return statement;
    }
    if (skip_name("else")) statement.otherwise = body({"endif"});
    --conditional_;
    end_block("endif");
    return statement;
  }

  Statement set() {
    Statement statement = start(Statement::Kind::set);
    take();
    statement.target = target("", true);
    if (skip_op("=")) {
      statement.expression = tuple(Tuple{});
      expect(Token::Kind::block_end, "%}");
      return statement;
    }
    statement.kind = Statement::Kind::set_block;
    if (now().is_op("|")) statement.expression = filters(nullptr);
    statement.body = body({"endset"});
    end_block("endset");
    return statement;
  }

  Statement macro() {
    Statement statement = start(Statement::Kind::macro);
    take();
    auto made = std::make_unique<Macro>();
    made->name = name();
    made->symbol = symbol(made->name);
    Macro* const outer = macro_;
    macro_ = made.get();
    expect_op("(");
    while (!now().is_op(")")) {
      if (!made->names.empty()) expect_op(",");
      const std::string parameter = name();
      made->names.push_back(parameter);
      made->parameters.push_back(symbol(parameter));
      if (skip_op("=")) {
        made->defaults.push_back(expression());
      } else if (!made->defaults.empty()) {
        fail_at(now().line, ErrorKind::bad_input, "parameter {} without a default after one with", parameter);
      }
    }
    expect_op(")");
    const int loops = std::exchange(loops_, 0);
    made->body = body({"endmacro"});
    loops_ = loops;
    macro_ = outer;
    end_block("endmacro");
    statement.macro = std::move(made);
    return statement;
  }

  Statement filter_block() {
    Statement statement = start(Statement::Kind::filter_block);
    take();
    statement.expression = filters(nullptr, true);
    statement.body = body({"endfilter"});
    end_block("endfilter");
    return statement;
  }

  Statement with() {
    Statement statement = start(Statement::Kind::with);
    take();
    while (now().kind != Token::Kind::block_end) {
      if (!statement.targets.empty()) expect_op(",");
      statement.targets.push_back(target("", false, false));
      expect_op("=");
      statement.values.push_back(expression());
    }
    statement.body = body({"endwith"});
    end_block("endwith");
    return statement;
  }

  /// transformers marks the assistant's text in training with it; here it is only a scope.
  Statement generation() {
    Statement statement = start(Statement::Kind::scope);
    take();
    const int loops = std::exchange(loops_, 0);
    statement.body = body({"endgeneration"});
    loops_ = loops;
    end_block("endgeneration");
    return statement;
  }

  Statement jump() {
    Statement statement = start(now().text == "break" ? Statement::Kind::leave : Statement::Kind::next);
    if (loops_ == 0) fail_at(now().line, ErrorKind::bad_input, "{} outside of a for", now().text);
    take();
    expect(Token::Kind::block_end, "%}");
    return statement;
  }

  Statement print_block() {
    Statement statement = start(Statement::Kind::print);
    take();
    statement.expression = tuple(Tuple{});
    if (now().is_op(",")) unexpected("%}");
    expect(Token::Kind::block_end, "%}");
    return statement;
  }

  /// A name, a namespace's attribute (where allowed) or several with commas between them.
  Target target(std::string_view end, bool attributes, bool several = true) {
    std::vector<Target> targets;
    bool is_tuple = false;
    for (;;) {
      if (is_tuple && (now().is_name(end) || now().is_op("=") || now().kind == Token::Kind::block_end)) break;
      targets.push_back(one_target(attributes));
      if (!several || !skip_op(",")) break;
      is_tuple = true;
    }
    if (!is_tuple) return std::move(targets[0]);
    Target all;
    all.kind = Target::Kind::tuple;
    all.targets = std::move(targets);
    return all;
  }

  Target one_target(bool attributes) {
    const Nested nested(*this);
    if (skip_op("(")) {
      std::vector<Target> targets;
      bool is_tuple = false;
      while (!now().is_op(")")) {
        targets.push_back(one_target(false));
        if (!skip_op(",")) break;
        is_tuple = true;
      }
      expect_op(")");
      if (targets.size() == 1 && !is_tuple) return std::move(targets[0]);
      Target all;
      all.kind = Target::Kind::tuple;
      all.targets = std::move(targets);
      return all;
    }
    Target made;
    const std::string text = name();
    static constexpr std::string_view kConstants[] = {"true", "false", "none", "True", "False", "None"};
    if (std::find(std::begin(kConstants), std::end(kConstants), text) != std::end(kConstants))
      fail_at(now().line, ErrorKind::bad_input, "can't assign to {}", text);
    made.symbol = symbol(text);
    if (attributes && skip_op(".")) {
      made.kind = Target::Kind::attribute;
      made.attribute = name();
    }
    return made;
  }

  // --- expressions

  ExpressionPtr make(Kind kind, int line) const {
    auto made = std::make_unique<Expression>();
    made->kind = kind;
    made->line = line;
    return made;
  }
  void add_child(Expression& parent, ExpressionPtr child) const {
    deepen(parent, child);
    parent.children.push_back(std::move(child));
  }
  static void deepen(Expression& parent, const ExpressionPtr& child) {
    if (!child) return;
    parent.depth = std::max(parent.depth, child->depth + 1);
    if (parent.depth > kMaxDepth)
      fail_at(parent.line, ErrorKind::limit, "an expression of more than {} levels", kMaxDepth);
  }
  ExpressionPtr constant(Value value, int line) const {
    ExpressionPtr made = make(Kind::constant, line);
    made->value = std::move(value);
    return made;
  }

  struct Tuple {
    bool condition = true;      ///< `a if b else c` may stand in it
    std::string_view end = {};  ///< a name that ends it
    bool empty_allowed = false;
  };

  /// Expressions with commas between them are a tuple, one alone is itself.
  ExpressionPtr tuple(Tuple rule) {
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

  bool tuple_ends(std::string_view end) const {
    const Token& token = now();
    return token.kind == Token::Kind::print_end || token.kind == Token::Kind::block_end || token.is_op(")") ||
           (!end.empty() && token.is_name(end));
  }

  ExpressionPtr expression() {
    const Nested nested(*this);
    ExpressionPtr left = either();
    while (now().is_name("if")) {
      ExpressionPtr made = make(Kind::choice, take().line);
      ++conditional_;
      add_child(*made, std::move(left));
      add_child(*made, either());
      add_child(*made, skip_name("else") ? expression() : nullptr);
      --conditional_;
      left = std::move(made);
    }
    return left;
  }

  ExpressionPtr either() {
    ExpressionPtr left = both();
    while (now().is_name("or")) left = pair(Kind::either, std::move(left), &Parser::both);
    return left;
  }
  ExpressionPtr both() {
    ExpressionPtr left = negation();
    while (now().is_name("and")) left = pair(Kind::both, std::move(left), &Parser::negation);
    return left;
  }
  ExpressionPtr pair(Kind kind, ExpressionPtr left, ExpressionPtr (Parser::*right)()) {
    ExpressionPtr made = make(kind, take().line);
    add_child(*made, std::move(left));
    add_child(*made, (this->*right)());
    return made;
  }

  ExpressionPtr negation() {
    if (!now().is_name("not")) return comparison();
    const Nested nested(*this);
    ExpressionPtr made = make(Kind::negate, take().line);
    add_child(*made, negation());
    return made;
  }

  std::optional<Comparison> comparison_here() {
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

  ExpressionPtr comparison() {
    const int line = now().line;
    ExpressionPtr left = sum();
    ExpressionPtr made;
    while (const auto op = comparison_here()) {
      if (!made) {
        made = make(Kind::compare, line);
        add_child(*made, std::move(left));
      }
      made->comparisons.push_back(*op);
      add_child(*made, sum());
    }
    return made ? std::move(made) : std::move(left);
  }

  ExpressionPtr arithmetic(ExpressionPtr left,
                           std::initializer_list<std::pair<std::string_view, Operator>> ops,
                           ExpressionPtr (Parser::*next)()) {
    for (;;) {
      const auto found =
          std::find_if(ops.begin(), ops.end(), [&](const auto& op) { return now().is_op(op.first); });
      if (found == ops.end()) return left;
      ExpressionPtr made = make(Kind::arithmetic, take().line);
      made->op = found->second;
      add_child(*made, std::move(left));
      add_child(*made, (this->*next)());
      left = std::move(made);
    }
  }

  ExpressionPtr sum() {
    return arithmetic(joined(), {{"+", Operator::add}, {"-", Operator::subtract}}, &Parser::joined);
  }
  ExpressionPtr joined() {
    const int line = now().line;
    ExpressionPtr first = product();
    if (!now().is_op("~")) return first;
    ExpressionPtr made = make(Kind::join, line);
    add_child(*made, std::move(first));
    while (skip_op("~")) add_child(*made, product());
    return made;
  }
  ExpressionPtr product() {
    return arithmetic(power(),
                      {{"*", Operator::multiply},
                       {"/", Operator::divide},
                       {"//", Operator::floor_divide},
                       {"%", Operator::modulo}},
                      &Parser::power);
  }
  ExpressionPtr power() {
    return arithmetic(with_filters(), {{"**", Operator::power}}, &Parser::with_filters);
  }
  ExpressionPtr with_filters() { return filters_and_tests(unary()); }

  ExpressionPtr unary() {
    const Nested nested(*this);
    if (now().is_op("-") || now().is_op("+")) {
      const Token& sign = take();
      ExpressionPtr made = make(sign.text == "-" ? Kind::minus : Kind::plus, sign.line);
      add_child(*made, unary());
      return postfix(std::move(made));
    }
    return postfix(primary());
  }

  ExpressionPtr primary() {
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

  ExpressionPtr name_or_constant() {
    const Token& token = take();
    if (token.text == "true" || token.text == "True") return constant(true, token.line);
    if (token.text == "false" || token.text == "False") return constant(false, token.line);
    if (token.text == "none" || token.text == "None") return constant(None{}, token.line);
    ExpressionPtr made = make(Kind::name, token.line);
    made->symbol = symbol(token.text);
    if (macro_ && made->symbol == tree_.varargs) macro_->takes_varargs = true;
    if (macro_ && made->symbol == tree_.kwargs) macro_->takes_kwargs = true;
    return made;
  }

  ExpressionPtr list(int line) {
    ExpressionPtr made = make(Kind::list, line);
    while (!now().is_op("]")) {
      if (!made->children.empty()) expect_op(",");
      if (now().is_op("]")) break;
      add_child(*made, expression());
    }
    expect_op("]");
    return made;
  }

  ExpressionPtr dict(int line) {
    ExpressionPtr made = make(Kind::dict, line);
    while (!now().is_op("}")) {
      if (!made->children.empty()) expect_op(",");
      if (now().is_op("}")) break;
      add_child(*made, expression());
      expect_op(":");
      add_child(*made, expression());
    }
    expect_op("}");
    return made;
  }

  ExpressionPtr postfix(ExpressionPtr node) {
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

  ExpressionPtr attribute(ExpressionPtr node) {
    const int line = take().line;
    if (now().kind == Token::Kind::integer) {
      ExpressionPtr made = make(Kind::item, line);
      add_child(*made, std::move(node));
      add_child(*made, constant(take().integer, line));
      return made;
    }
    ExpressionPtr made = make(Kind::attribute, line);
    add_child(*made, std::move(node));
    made->text = name();
    return made;
  }

  ExpressionPtr subscript(ExpressionPtr node) {
    const int line = take().line;
    ExpressionPtr index = now().is_op(":") ? nullptr : expression();
    if (now().is_op(":")) return slice(std::move(node), std::move(index), line);
    if (now().is_op(",")) {
      ExpressionPtr several = make(Kind::tuple, line);
      add_child(*several, std::move(index));
      while (skip_op(",")) {
        if (now().is_op(":")) fail_at(now().line, ErrorKind::unsupported, "a slice among several indices");
        add_child(*several, expression());
      }
      index = std::move(several);
    }
    ExpressionPtr made = make(Kind::item, line);
    add_child(*made, std::move(node));
    add_child(*made, std::move(index));
    expect_op("]");
    return made;
  }

  ExpressionPtr slice(ExpressionPtr node, ExpressionPtr begin, int line) {
    ExpressionPtr made = make(Kind::slice, line);
    add_child(*made, std::move(node));
    add_child(*made, std::move(begin));
    for (int part = 0; part < 2; ++part) {
      const bool there = skip_op(":") && !now().is_op(":") && !now().is_op("]");
      add_child(*made, there ? expression() : nullptr);
    }
    expect_op("]");
    return made;
  }

  ExpressionPtr call(ExpressionPtr node) {
    ExpressionPtr made = make(Kind::call, now().line);
    add_child(*made, std::move(node));
    arguments(*made);
    return made;
  }

  void arguments(Expression& owner) {
    const Nested nested(*this);
    Arguments& all = owner.arguments;
    expect_op("(");
    bool first = true;
    while (!now().is_op(")")) {
      if (!first) expect_op(",");
      if (!first && now().is_op(")")) break;
      first = false;
      argument(owner, all);
    }
    expect_op(")");
  }

  void argument(Expression& owner, Arguments& all) {
    const int line = now().line;
    const auto ensure = [&](bool right) {
      if (!right) fail_at(line, ErrorKind::bad_input, "arguments of a call in a wrong order");
    };
    ExpressionPtr value;
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

  ExpressionPtr filters_and_tests(ExpressionPtr node) {
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

  /// node | a | b(x); the first "|" is left out where `inlined`.
  ExpressionPtr filters(ExpressionPtr node, bool inlined = false) {
    while (inlined || now().is_op("|")) {
      if (!inlined) take();
      inlined = false;
      ExpressionPtr made = make(Kind::filter, now().line);
      add_child(*made, std::move(node));
      made->text = dotted_name();
      if (now().is_op("(")) arguments(*made);
      if (conditional_ == 0 && !is_filter(made->text))
        fail_at(made->line, ErrorKind::bad_input, "no filter named {}", made->text);
      node = std::move(made);
    }
    return node;
  }

  ExpressionPtr test(ExpressionPtr node) {
    const int line = take().line;
    const bool negated = skip_name("not");
    ExpressionPtr made = make(Kind::test, line);
    add_child(*made, std::move(node));
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
    if (!negated) return made;
    ExpressionPtr outer = make(Kind::negate, line);
    add_child(*outer, std::move(made));
    return outer;
  }

  bool test_argument_follows() const {
    const Token& token = now();
    if (token.is_name("else") || token.is_name("or") || token.is_name("and")) return false;
    return token.kind == Token::Kind::name || token.kind == Token::Kind::string ||
           token.kind == Token::Kind::integer || token.kind == Token::Kind::floating || token.is_op("(") ||
           token.is_op("[") || token.is_op("{");
  }

  std::vector<Token> tokens_;
  size_t at_ = 0;
  Tree tree_;
  std::unordered_map<std::string, int> symbols_;
  int nesting_ = 0;
  int loops_ = 0;        ///< around what is parsed, in the same macro
  int conditional_ = 0;  ///< branches around it: there unknown filters are errors only when they run
  Macro* macro_ = nullptr;
};

}  // namespace

Tree parse(std::string_view source) {
  return Parser(source).run();
}

}  // namespace tern::jinja
