#include "text/jinja/interpreter.h"

#include <utility>

#include "text/jinja/functions.h"
#include "text/jinja/operations.h"
#include "text/jinja/scope.h"

namespace tern::jinja {
namespace {

/// What a statement asks of the loop around it.
enum class Flow { go_on, leave, next };

class Interpreter {
 public:
  Interpreter(const Tree& tree, const Dict& variables, Runtime& runtime, int& line)
      : tree_(tree),
        variables_(variables),
        runtime_(runtime),
        line_(line),
        scope_(std::make_shared<Scope>()),
        out_(std::make_unique<TextBuilder>(runtime.meter)) {}

  Text run() {
    execute(tree_.body);
    return out_->take();
  }

 private:
  /// A level of variables while it lives; inside `outer` where one is given.
  class Inner {
   public:
    Inner(Interpreter& owner, std::shared_ptr<Scope> outer) : owner_(owner), before_(owner.scope_) {
      owner_.runtime_.meter.bytes(sizeof(Scope));
      owner_.scope_ = std::make_shared<Scope>();
      owner_.scope_->outer = std::move(outer);
    }
    explicit Inner(Interpreter& owner) : Inner(owner, owner.scope_) {}
    ~Inner() { owner_.scope_ = std::move(before_); }
    Inner(const Inner&) = delete;
    Inner& operator=(const Inner&) = delete;

   private:
    Interpreter& owner_;
    std::shared_ptr<Scope> before_;
  };

  /// What `body` writes, instead of writing it.
  template <typename Body>
  Text captured(Body body) {
    auto mine = std::make_unique<TextBuilder>(runtime_.meter);
    std::swap(out_, mine);
    body();
    std::swap(out_, mine);
    return mine->take();
  }

  // --- statements

  Flow execute(const Statements& list) {
    for (const Statement& statement : list) {
      const Flow flow = execute(statement);
      if (flow != Flow::go_on) return flow;
    }
    return Flow::go_on;
  }

  Flow execute(const Statement& statement) {
    runtime_.meter.steps();
    const Meter::Level level(runtime_.meter);
    line_ = statement.line;
    switch (statement.kind) {
      case Statement::Kind::data:
        out_->append(*statement.text);
        return Flow::go_on;
      case Statement::Kind::print:
        print(runtime_, evaluate(*statement.expression), false, *out_);
        return Flow::go_on;
      case Statement::Kind::loop:
        return loop(statement);
      case Statement::Kind::branch:
        return branch(statement);
      case Statement::Kind::set:
        assign(statement.target, evaluate(*statement.expression));
        return Flow::go_on;
      case Statement::Kind::set_block:
        return set_block(statement);
      case Statement::Kind::macro:
        define(*statement.macro);
        return Flow::go_on;
      case Statement::Kind::filter_block:
        return filter_block(statement);
      case Statement::Kind::with:
        return with(statement);
      case Statement::Kind::scope: {
        const Inner inner(*this);
        return execute(*statement.body);
      }
      case Statement::Kind::leave:
        return Flow::leave;
      case Statement::Kind::next:
        return Flow::next;
    }
    return Flow::go_on;
  }

  Flow branch(const Statement& statement) {
    if (truth(evaluate(*statement.expression))) return execute(*statement.body);
    return statement.otherwise ? execute(*statement.otherwise) : Flow::go_on;
  }

  /// The items that the loop's condition leaves.
  std::shared_ptr<const List> items_of(const Statement& statement) {
    const Items items = walk(runtime_, evaluate(*statement.expression));
    if (!statement.condition) return items.list();
    auto kept = std::make_shared<List>();
    for (const Value& item : items) {
      const Inner inner(*this);
      assign(statement.target, item);
      if (!truth(evaluate(*statement.condition))) continue;
      runtime_.meter.bytes(sizeof(Value));
      kept->items.push_back(item);
    }
    return kept;
  }

  Flow loop(const Statement& statement) {
    auto state = std::make_shared<Loop>();
    state->items = items_of(statement);
    bool finished_one = false;  // jinja2 runs the else also where the only turn was broken off
    for (size_t i = 0; i < state->items->items.size(); ++i) {
      const Inner inner(*this);
      state->index0 = i;
      scope_->set(tree_.loop, std::shared_ptr<const Loop>(state));
      assign(statement.target, state->items->items[i]);
      const Flow flow = execute(*statement.body);
      if (flow == Flow::leave) break;
      if (flow == Flow::go_on) finished_one = true;
    }
    if (finished_one || !statement.otherwise) return Flow::go_on;
    const Inner inner(*this);
    return execute(*statement.otherwise);
  }

  Flow set_block(const Statement& statement) {
    Flow flow = Flow::go_on;
    Text text = captured([&] {
      const Inner inner(*this);
      flow = execute(*statement.body);
    });
    if (flow != Flow::go_on) return flow;
    Value value(std::move(text));
    if (statement.expression) value = filtered(*statement.expression, std::move(value));
    assign(statement.target, value);
    return flow;
  }

  Flow filter_block(const Statement& statement) {
    Flow flow = Flow::go_on;
    Text text = captured([&] {
      const Inner inner(*this);
      flow = execute(*statement.body);
    });
    if (flow == Flow::go_on) print(runtime_, filtered(*statement.expression, std::move(text)), false, *out_);
    return flow;
  }

  Flow with(const Statement& statement) {
    std::vector<Value> values;
    for (const ExpressionPtr& value : statement.values) values.push_back(evaluate(*value));
    const Inner inner(*this);
    for (size_t i = 0; i < values.size(); ++i) assign(statement.targets[i], values[i]);
    return execute(*statement.body);
  }

  void define(const Macro& macro) {
    auto made = std::make_shared<Callable>();
    made->kind = Callable::Kind::macro;
    made->name = macro.name;
    made->macro = &macro;
    made->scope = scope_;
    runtime_.meter.bytes(sizeof(Callable) + sizeof(Scope));
    runtime_.scopes.push_back(scope_);
    scope_->set(macro.symbol, std::shared_ptr<const Callable>(std::move(made)));
  }

  void assign(const Target& target, const Value& value) {
    runtime_.meter.steps();
    if (target.kind == Target::Kind::name) return scope_->set(target.symbol, value);
    if (target.kind == Target::Kind::attribute) {
      const Value* found = scope_->find(target.symbol);
      Namespace* space = found ? found->space() : nullptr;
      if (!space)
        fail(ErrorKind::bad_input, "{} is no namespace: only attributes of one can be set",
             tree_.names[static_cast<size_t>(target.symbol)]);
      runtime_.meter.bytes(sizeof(Value));
      return space->set(target.attribute, value);
    }
    const auto items = walk(runtime_, value);
    if (items->items.size() != target.targets.size())
      fail(ErrorKind::bad_input, "{} values for {} names", items->items.size(), target.targets.size());
    for (size_t i = 0; i < items->items.size(); ++i) assign(target.targets[i], items->items[i]);
  }

  // --- expressions

  Value evaluate(const Expression& expression) {
    runtime_.meter.steps();
    const Meter::Level level(runtime_.meter);
    line_ = expression.line;
    const auto child = [&](size_t i) { return evaluate(*expression.children[i]); };
    switch (expression.kind) {
      case Expression::Kind::constant:
        return expression.value;
      case Expression::Kind::name:
        return look_up(expression.symbol);
      case Expression::Kind::tuple:
        return list(expression, List::Shape::tuple);
      case Expression::Kind::list:
        return list(expression, List::Shape::list);
      case Expression::Kind::dict:
        return dict(expression);
      case Expression::Kind::attribute:
        return get_attribute(runtime_, child(0), expression.text);
      case Expression::Kind::item: {
        const Value value = child(0);
        return get_item(runtime_, value, child(1));
      }
      case Expression::Kind::slice:
        return slice(expression);
      case Expression::Kind::call:
        return call(expression);
      case Expression::Kind::filter:
        return call_filter(runtime_, expression.text, child(0), arguments(expression.arguments));
      case Expression::Kind::test: {
        const Value value = child(0);
        return call_test(runtime_, expression.text, value, arguments(expression.arguments));
      }
      case Expression::Kind::negate:
        return !truth(child(0));
      case Expression::Kind::minus:
        return negate(runtime_, child(0));
      case Expression::Kind::plus:
        return negate(runtime_, negate(runtime_, child(0)));
      case Expression::Kind::arithmetic: {
        const Value left = child(0);
        return arithmetic(runtime_, expression.op, left, child(1));
      }
      case Expression::Kind::compare:
        return comparison(expression);
      case Expression::Kind::both: {
        Value left = child(0);
        return truth(left) ? child(1) : left;
      }
      case Expression::Kind::either: {
        Value left = child(0);
        return truth(left) ? left : child(1);
      }
      case Expression::Kind::join:
        return join(expression);
      case Expression::Kind::choice:
        if (truth(child(1))) return child(0);
        if (expression.children[2]) return child(2);
        return Value::undefined("an if without an else");
    }
    return {};
  }

  Value look_up(int symbol) {
    if (const Value* found = scope_->find(symbol)) return *found;
    const std::string& name = tree_.names[static_cast<size_t>(symbol)];
    if (const Value* found = variables_.get(name)) return *found;
    if (auto found = find_global(name)) return *found;
    return Value::undefined(name);
  }

  Value list(const Expression& expression, List::Shape shape) {
    std::vector<Value> items;
    for (const ExpressionPtr& child : expression.children) items.push_back(evaluate(*child));
    return make_list(runtime_.meter, std::move(items), shape);
  }

  Value dict(const Expression& expression) {
    auto made = std::make_shared<Dict>();
    for (size_t i = 0; i < expression.children.size(); i += 2) {
      Value key = evaluate(*expression.children[i]);
      Value value = evaluate(*expression.children[i + 1]);
      auto index = key_of(runtime_, key);
      if (!index) fail(ErrorKind::bad_input, "{} can't be a key", type_name(key));
      runtime_.meter.bytes(2 * sizeof(Value) + index->size());
      made->put(std::move(*index), std::move(key), std::move(value));
    }
    return std::shared_ptr<const Dict>(std::move(made));
  }

  Value slice(const Expression& expression) {
    const Value value = evaluate(*expression.children[0]);
    const auto bound = [&](size_t i) {
      return expression.children[i] ? evaluate(*expression.children[i]) : Value(None{});
    };
    const Value begin = bound(1), end = bound(2), step = bound(3);
    return get_slice(runtime_, value, begin, end, step);
  }

  /// a < b < c: each part is evaluated once, and none after the first that does not hold.
  Value comparison(const Expression& expression) {
    Value left = evaluate(*expression.children[0]);
    for (size_t i = 0; i < expression.comparisons.size(); ++i) {
      Value right = evaluate(*expression.children[i + 1]);
      if (!compare(runtime_, expression.comparisons[i], left, right)) return false;
      left = std::move(right);
    }
    return true;
  }

  Value join(const Expression& expression) {
    TextBuilder out(runtime_.meter);
    for (const ExpressionPtr& child : expression.children) {
      const Value value = evaluate(*child);
      print(runtime_, value, false, out);
    }
    return out.take();
  }

  CallArguments arguments(const Arguments& written) {
    CallArguments made;
    for (const ExpressionPtr& value : written.positional) made.positional.push_back(evaluate(*value));
    if (written.star) {
      for (const Value& value : walk(runtime_, evaluate(*written.star))) made.positional.push_back(value);
    }
    for (const auto& [name, value] : written.named) made.named.emplace_back(name, evaluate(*value));
    if (written.star_star) add_named(evaluate(*written.star_star), made);
    return made;
  }

  void add_named(const Value& value, CallArguments& arguments) {
    if (!value.dict()) fail(ErrorKind::bad_input, "** of {}, expected a mapping", type_name(value));
    for (const auto& [key, item] : value.dict()->items) {
      if (!key.text()) fail(ErrorKind::bad_input, "** with a key that is {}", type_name(key));
      for (const auto& [name, ignored] : arguments.named) {
        runtime_.meter.steps();
        if (name == key.text()->view()) fail(ErrorKind::bad_input, "argument {} is given twice", name);
      }
      arguments.named.emplace_back(key.text()->bytes(), item);
    }
  }

  /// The value through the filters of a filter or set block, whose innermost value is not written.
  Value filtered(const Expression& expression, Value value) {
    if (expression.children[0]) value = filtered(*expression.children[0], std::move(value));
    line_ = expression.line;
    return call_filter(runtime_, expression.text, value, arguments(expression.arguments));
  }

  Value call(const Expression& expression) {
    const Value callee = evaluate(*expression.children[0]);
    const CallArguments values = arguments(expression.arguments);
    line_ = expression.line;
    if (const auto* undefined = callee.as<Undefined>())
      fail(ErrorKind::bad_input, "{} is undefined and can't be called", undefined->what());
    const Callable* function = callee.callable();
    if (!function) fail(ErrorKind::bad_input, "{} can't be called", type_name(callee));
    if (function->kind != Callable::Kind::macro) return call_function(runtime_, *function, values);
    return call_macro(*function, values);
  }

  Value call_macro(const Callable& callable, const CallArguments& values) {
    const Macro& macro = *callable.macro;
    const Meter::Level level(runtime_.meter);
    const int line = line_;
    const Inner inner(*this, callable.scope);
    bind(macro, values);
    Text text = captured([&] { execute(*macro.body); });
    line_ = line;
    return text;
  }

  void bind(const Macro& macro, const CallArguments& values) {
    const size_t n = macro.parameters.size();
    std::vector<const Value*> bound(n);
    for (size_t i = 0; i < std::min(n, values.positional.size()); ++i) bound[i] = &values.positional[i];
    bind_rest(macro, values);
    auto kwargs = std::make_shared<Dict>();
    for (const auto& [name, value] : values.named) {
      size_t i = 0;
      while (i < n && macro.names[i] != name) ++i;
      if (i < n) {
        if (bound[i]) fail(ErrorKind::bad_input, "macro {}: argument {} is given twice", macro.name, name);
        bound[i] = &value;
      } else if (macro.takes_kwargs) {
        kwargs->set(name, value);
      } else {
        fail(ErrorKind::bad_input, "macro {}: no argument named {}", macro.name, name);
      }
    }
    if (macro.takes_kwargs) scope_->set(tree_.kwargs, std::shared_ptr<const Dict>(std::move(kwargs)));
    const size_t first_default = n - macro.defaults.size();
    for (size_t i = 0; i < n; ++i) {
      if (bound[i]) scope_->set(macro.parameters[i], *bound[i]);
    }
    for (size_t i = 0; i < n; ++i) {
      if (bound[i]) continue;
      Value value = i >= first_default ? evaluate(*macro.defaults[i - first_default])
                                       : Value::undefined("the argument " + macro.names[i]);
      scope_->set(macro.parameters[i], std::move(value));
    }
  }

  /// The positional arguments that the macro has no names for.
  void bind_rest(const Macro& macro, const CallArguments& values) {
    const size_t n = macro.parameters.size();
    if (values.positional.size() > n && !macro.takes_varargs)
      fail(ErrorKind::bad_input, "macro {}: {} arguments, expected {} at most", macro.name,
           values.positional.size(), n);
    if (!macro.takes_varargs) return;
    std::vector<Value> rest;
    for (size_t i = n; i < values.positional.size(); ++i) rest.push_back(values.positional[i]);
    scope_->set(tree_.varargs, make_list(runtime_.meter, std::move(rest), List::Shape::tuple));
  }

  const Tree& tree_;
  const Dict& variables_;
  Runtime& runtime_;
  int& line_;
  std::shared_ptr<Scope> scope_;
  std::unique_ptr<TextBuilder> out_;
};

}  // namespace

Text interpret(const Tree& tree, const Dict& variables, Runtime& runtime, int& line) {
  return Interpreter(tree, variables, runtime, line).run();
}

}  // namespace tern::jinja
