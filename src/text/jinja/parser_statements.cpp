#include <algorithm>
#include <initializer_list>
#include <iterator>
#include <utility>

#include "text/jinja/parser.h"
#include "text/jinja/parser_expressions.h"

namespace tern::jinja {
namespace {

class Parser : ExpressionParser {
 public:
  explicit Parser(std::string_view source) : ExpressionParser(source) {}

  Tree run() {
    tree_.body = statements({});
    return std::move(tree_);
  }

 private:
  using Kind = Statement::Kind;
  using Ends = std::initializer_list<std::string_view>;

  /// Up to a block that begins with one of `ends` (not taken), or the template's end where there are none.
  Statements statements(Ends ends) {
    const Nested nested(*this);
    Statements list;
    for (;;) {
      const Token& token = now();
      if (token.kind == Token::Kind::end) {
        if (ends.size() == 0) return list;
        unexpected(*ends.begin());
      }
      if (token.kind == Token::Kind::data) {
        Statement data = start(Kind::data);
        data.text = std::make_shared<const Text>(Text::trusted_text(token.text));
        list.push_back(std::move(data));
      } else if (token.kind == Token::Kind::print_begin) {
        list.push_back(print(Token::Kind::print_end, "}}"));
      } else {
        take();  // {%
        if (std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return now().is_name(end); }))
          return list;
        list.push_back(block());
      }
    }
  }

  /// A statement that begins with the token here, which is taken.
  Statement start(Kind kind) {
    Statement statement;
    statement.kind = kind;
    statement.line = take().line;
    return statement;
  }

  void end_tag() { expect(Token::Kind::block_end, "%}"); }
  void end_block(std::string_view name) {
    expect_name(name);
    end_tag();
  }
  std::unique_ptr<Statements> body(Ends ends) {
    end_tag();
    return std::make_unique<Statements>(statements(ends));
  }
  /// The body of a block that only `end` ends, which is taken.
  std::unique_ptr<Statements> whole_body(std::string_view end) {
    auto made = body({end});
    end_block(end);
    return made;
  }
  /// One that can't leave a loop around it.
  std::unique_ptr<Statements> body_without_loops(std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    auto made = whole_body(end);
    loops_ = loops;
    return made;
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
    if (token.text == "break") return jump(Kind::leave);
    if (token.text == "continue") return jump(Kind::next);
    if (token.text == "print") return print(Token::Kind::block_end, "%}");
    static constexpr std::string_view kOthers[] = {"extends", "block",      "include", "import",
                                                   "from",    "autoescape", "call"};
    if (std::find(std::begin(kOthers), std::end(kOthers), token.text) != std::end(kOthers))
      fail_at(token.line, ErrorKind::unsupported, "the block {}", token.text);
    fail_at(token.line, ErrorKind::bad_input, "unknown block {}", describe(token));
  }

  Statement print(Token::Kind end, std::string_view end_text) {
    Statement statement = start(Kind::print);
    statement.expression = tuple({});
    expect(end, end_text);
    return statement;
  }

  Statement loop() {
    Statement statement = start(Kind::loop);
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
    const Nested nested(*this);
    Statement statement = start(Kind::branch);
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
    Statement statement = start(Kind::set);
    statement.target = target("", true);
    if (skip_op("=")) {
      statement.expression = tuple({});
      end_tag();
      return statement;
    }
    statement.kind = Kind::set_block;
    if (now().is_op("|")) statement.expression = filters(nullptr);
    statement.body = whole_body("endset");
    return statement;
  }

  Statement macro() {
    Statement statement = start(Kind::macro);
    statement.macro = std::make_unique<Macro>();
    Macro& made = *statement.macro;
    made.name = name();
    made.symbol = symbol(made.name);
    Macro* const outer = std::exchange(macro_, &made);
    expect_op("(");
    while (!now().is_op(")")) {
      if (!made.names.empty()) expect_op(",");
      parameter(made);
    }
    expect_op(")");
    made.body = body_without_loops("endmacro");
    macro_ = outer;
    return statement;
  }

  void parameter(Macro& macro) {
    const std::string parameter = name();
    macro.names.push_back(parameter);
    macro.parameters.push_back(symbol(parameter));
    if (skip_op("=")) {
      macro.defaults.push_back(expression());
    } else if (!macro.defaults.empty()) {
      fail_at(now().line, ErrorKind::bad_input, "parameter {} without a default after one with", parameter);
    }
  }

  Statement filter_block() {
    Statement statement = start(Kind::filter_block);
    statement.expression = filters(nullptr, true);
    statement.body = whole_body("endfilter");
    return statement;
  }

  Statement with() {
    Statement statement = start(Kind::with);
    while (now().kind != Token::Kind::block_end) {
      if (!statement.targets.empty()) expect_op(",");
      statement.targets.push_back(one_target(false));
      expect_op("=");
      statement.values.push_back(expression());
    }
    statement.body = whole_body("endwith");
    return statement;
  }

  /// transformers marks the assistant's text in training with it; here it is only a scope.
  Statement generation() {
    Statement statement = start(Kind::scope);
    statement.body = body_without_loops("endgeneration");
    return statement;
  }

  Statement jump(Kind kind) {
    if (loops_ == 0) fail_at(now().line, ErrorKind::bad_input, "{} outside of a for", now().text);
    Statement statement = start(kind);
    end_tag();
    return statement;
  }

  /// A name, a namespace's attribute (where allowed) or several with commas between them.
  Target target(std::string_view end, bool attributes) {
    Target first = one_target(attributes);
    if (!skip_op(",")) return first;
    std::vector<Target> targets;
    targets.push_back(std::move(first));
    while (!now().is_name(end) && !now().is_op("=") && now().kind != Token::Kind::block_end) {
      targets.push_back(one_target(attributes));
      if (!skip_op(",")) break;
    }
    return tuple_of(std::move(targets));
  }

  static Target tuple_of(std::vector<Target> targets) {
    Target all;
    all.kind = Target::Kind::tuple;
    all.targets = std::move(targets);
    return all;
  }

  Target one_target(bool attributes) {
    const Nested nested(*this);
    if (skip_op("(")) return target_in_brackets();
    Target made;
    const std::string text = name();
    if (constant_named(text)) fail_at(now().line, ErrorKind::bad_input, "can't assign to {}", text);
    made.symbol = symbol(text);
    if (attributes && skip_op(".")) {
      made.kind = Target::Kind::attribute;
      made.attribute = name();
    }
    return made;
  }

  Target target_in_brackets() {
    std::vector<Target> targets;
    bool is_tuple = false;
    while (!now().is_op(")")) {
      targets.push_back(one_target(false));
      if (!skip_op(",")) break;
      is_tuple = true;
    }
    expect_op(")");
    return targets.size() == 1 && !is_tuple ? std::move(targets[0]) : tuple_of(std::move(targets));
  }

  int loops_ = 0;  ///< around what is parsed, in the same macro
};

}  // namespace

Tree parse(std::string_view source) {
  return Parser(source).run();
}

}  // namespace tern::jinja
