// A template as a tree.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace tern::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

enum class Operator { add, subtract, multiply, divide, floor_divide, modulo, power };
enum class Comparison { equal, unequal, less, less_equal, greater, greater_equal, in, not_in };

/// What stands in the brackets of a call, filter or test: f(positional, name=value, *list, **dict).
struct Arguments {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr star, star_star;
};

struct Expression {
  enum class Kind {
    constant,   ///< value
    name,       ///< symbol
    tuple,      ///< children
    list,       ///< children
    dict,       ///< children: key, value, key, value
    attribute,  ///< children[0].text
    item,       ///< children[0][children[1]]
    slice,      ///< children[0][children[1]:children[2]:children[3]], each but the first may be null
    call,       ///< children[0](arguments)
    filter,     ///< children[0] | text(arguments); children[0] is null in filter blocks
    test,       ///< children[0] is text(arguments)
    negate,     ///< not children[0]
    minus,
    plus,        ///< children[0]
    arithmetic,  ///< children[0] op children[1]
    compare,     ///< children[0] comparisons[0] children[1] comparisons[1] children[2] ...
    both,
    either,  ///< children[0] and / or children[1]
    join,    ///< children[0] ~ children[1] ~ ...
    choice   ///< children[0] if children[1] else children[2], which may be null
  };
  Kind kind;
  int line = 0;
  int depth = 1;  ///< of the tree below
  int symbol = 0;
  std::string text;
  Value value;
  Operator op = Operator::add;
  std::vector<Comparison> comparisons;
  std::vector<ExpressionPtr> children;
  Arguments arguments;
};

/// Where a value is assigned: a name, an attribute of a namespace, or several of these.
struct Target {
  enum class Kind { name, attribute, tuple };
  Kind kind = Kind::name;
  int symbol = 0;
  std::string attribute;
  std::vector<Target> targets;
};

struct Statement;
using Statements = std::vector<Statement>;

struct Macro {
  std::string name;
  int symbol = 0;
  std::vector<std::string> names;       ///< of its parameters
  std::vector<int> parameters;          ///< their symbols
  std::vector<ExpressionPtr> defaults;  ///< of the last parameters
  bool takes_varargs = false, takes_kwargs = false;
  std::unique_ptr<Statements> body;
};

struct Statement {
  enum class Kind {
    data,       ///< text
    print,      ///< expression
    loop,       ///< for target in expression if condition: body, else otherwise
    branch,     ///< if expression: body, else otherwise
    set,        ///< target = expression
    set_block,  ///< target = body, through the filters in expression where there are any
    macro,
    filter_block,  ///< body through the filters in expression
    with,          ///< body with targets[i] = values[i]
    scope,         ///< body
    leave,         ///< break
    next           ///< continue
  };
  Kind kind;
  int line = 0;
  std::shared_ptr<const Text> text;
  Target target;
  ExpressionPtr expression, condition;
  std::vector<Target> targets;
  std::vector<ExpressionPtr> values;
  std::unique_ptr<Statements> body, otherwise;
  std::unique_ptr<Macro> macro;
};

/// A parsed template. Names are numbered: symbol i is names[i].
struct Tree {
  Statements body;
  std::vector<std::string> names;
  int loop = 0, varargs = 0, kwargs = 0;  ///< symbols of these names
};

}  // namespace tern::jinja
