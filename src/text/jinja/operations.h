// Python's operations on values. All throw Error{bad_input} where Python raises, Error{limit} where the
// meter says so.
#pragma once

#include <compare>
#include <memory>
#include <optional>
#include <string>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace tern::jinja {

bool truth(const Value& value);
bool equal(Runtime& runtime, const Value& a, const Value& b);
/// Unordered where a NaN is in it. Throws where Python has no order between the two.
std::partial_ordering order(Runtime& runtime, const Value& a, const Value& b);
bool contains(Runtime& runtime, const Value& container, const Value& item);
bool compare(Runtime& runtime, Comparison op, const Value& a, const Value& b);
Value arithmetic(Runtime& runtime, Operator op, const Value& a, const Value& b);
Value negate(Runtime& runtime, const Value& value);

/// len(); nothing where it has none.
std::optional<int64_t> length(const Value& value);
/// The items of a value, kept alive as long as this is: `for (item : walk(...))` is safe.
class Items {
 public:
  Items(std::shared_ptr<const List> list) : list_(std::move(list)) {}
  Items(std::shared_ptr<List> list) : list_(std::move(list)) {}
  auto begin() const { return list_->items.begin(); }
  auto end() const { return list_->items.end(); }
  const List* operator->() const { return list_.get(); }
  const std::shared_ptr<const List>& list() const { return list_; }

 private:
  std::shared_ptr<const List> list_;
};

/// The items that a for loop sees: of a string its characters, of a dict its keys; a generator once.
Items walk(Runtime& runtime, const Value& value);

/// value.name and value[key] as jinja2's sandbox looks them up: undefined where there is nothing.
Value get_attribute(Runtime& runtime, const Value& value, const std::string& name);
Value get_item(Runtime& runtime, const Value& value, const Value& key);
Value get_slice(Runtime& runtime, const Value& value, const Value& begin, const Value& end,
                const Value& step);

/// A key of Dict::index: equal for equal keys (1, 1.0 and true are). Nothing for what can't be a key.
std::optional<std::string> key_of(Runtime& runtime, const Value& value);

/// str(): the text itself, without being markup, or what Python prints.
Text to_text(Runtime& runtime, const Value& value);
/// str() or, with `quoted`, repr(), appended.
void print(Runtime& runtime, const Value& value, bool quoted, TextBuilder& out);
/// A float as Python prints it: the shortest digits that read back the same.
std::string float_text(double value);

/// & < > ' " as HTML's entities; markup stays as it is. The result is markup.
Text escape_html(Runtime& runtime, const Text& text);

struct JsonStyle {
  bool ensure_ascii = false, sort_keys = false;
  std::optional<std::string> indent;  ///< of one level
  std::string comma = ", ", colon = ": ";
};
/// json.dumps().
void print_json(Runtime& runtime, const Value& value, const JsonStyle& style, TextBuilder& out);

/// text % value, and text.format(...).
Text format_percent(Runtime& runtime, const Text& format, const Value& values);
Text format_braces(Runtime& runtime, const Text& format, const CallArguments& arguments);

}  // namespace tern::jinja
