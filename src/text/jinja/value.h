// Values of templates, with the meaning that Python gives them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "text/jinja/text.h"

namespace tern::jinja {

class Value;
struct List;
struct Dict;
struct Namespace;
struct Callable;
struct Loop;

struct None {};
/// A name, attribute or item that is not there; `hint` says which.
struct Undefined {
  std::shared_ptr<const std::string> hint;
  std::string_view what() const { return hint ? std::string_view(*hint) : "a value"; }
};
/// An integer beyond 64 bits, as its digits: requests may hold one, templates can't calculate with it.
struct BigInteger {
  std::shared_ptr<const std::string> digits;
};

/// One value; copies share what they point to, which never changes (a namespace's attributes apart).
class Value {
 public:
  using Variant =
      std::variant<Undefined, None, bool, int64_t, double, BigInteger, std::shared_ptr<const Text>,
                   std::shared_ptr<const List>, std::shared_ptr<const Dict>, std::shared_ptr<Namespace>,
                   std::shared_ptr<const Callable>, std::shared_ptr<const Loop>>;

  Value() = default;  ///< undefined
  template <typename T>
  requires std::is_constructible_v<Variant, T> Value(T value) : value_(std::move(value)) {}
  Value(Text text) : value_(std::make_shared<const Text>(std::move(text))) {}
  Value(const char*) = delete;  // would be a bool

  static Value undefined(std::string hint);

  template <typename T>
  const T* as() const {
    return std::get_if<T>(&value_);
  }
  bool is_undefined() const { return as<Undefined>() != nullptr; }
  bool is_none() const { return as<None>() != nullptr; }
  /// What it points to, null where it is something else.
  const Text* text() const { return pointee<const Text>(); }
  const List* list() const { return pointee<const List>(); }
  const Dict* dict() const { return pointee<const Dict>(); }
  Namespace* space() const { return pointee<Namespace>(); }
  const Callable* callable() const { return pointee<const Callable>(); }
  const Loop* loop() const { return pointee<const Loop>(); }

  /// The integer that a boolean or integer is; nothing for all else.
  std::optional<int64_t> integer() const;
  /// The number that a boolean, integer or float is.
  std::optional<double> number() const;

  const Variant& variant() const { return value_; }
  int depth() const;  ///< of lists and dicts inside each other: 0 for anything else

 private:
  template <typename T>
  T* pointee() const {
    const auto* pointer = std::get_if<std::shared_ptr<T>>(&value_);
    return pointer ? pointer->get() : nullptr;
  }
  Variant value_;
};

/// A list and what behaves much like one.
struct List {
  enum class Shape {
    list,
    tuple,
    range,
    view,      ///< dict.keys(), values(), items(): can be walked and counted, not indexed
    generator  ///< what map, select and the like give: can be walked once
  };
  std::vector<Value> items;
  Shape shape = Shape::list;
  const char* view = "";              ///< "dict_keys", ...
  std::array<int64_t, 3> range = {};  ///< its arguments, where it is one
  mutable bool walked = false;        ///< a generator that was
  int depth = 1;
};

/// Keys in the order they were put in. Keys are strings, numbers, booleans, none and tuples of them.
struct Dict {
  std::vector<std::pair<Value, Value>> items;
  std::unordered_map<std::string, size_t> index;  ///< from key_of() to the place in `items`
  int depth = 1;

  /// Of equal keys the last value counts, at the first one's place.
  void put(std::string key, Value name, Value value);
  const Value* find(const std::string& key) const;
  /// The value of a string key.
  const Value* get(std::string_view name) const;
  /// Adds under a string key whose text is tern's own.
  void set(std::string_view name, Value value);
};

/// What namespace() makes: the only thing that templates can change.
struct Namespace {
  std::vector<std::pair<std::string, Value>> attributes;
  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};

struct Macro;
struct Scope;

/// What can be called.
struct Callable {
  enum class Kind { macro, method, global, loop_method };
  Kind kind;
  std::string name;
  Value self;  ///< of a method
  const Macro* macro = nullptr;
  std::shared_ptr<Scope> scope;  ///< where the macro was defined
};

/// The variable `loop`.
struct Loop {
  std::shared_ptr<const List> items;
  size_t index0 = 0;
  mutable std::optional<Value> changed;  ///< what loop.changed() saw last
};

Value make_list(Meter& meter, std::vector<Value> items, List::Shape shape = List::Shape::list);
Value make_text(Meter& meter, std::string bytes, bool trusted);  ///< a string

/// "string", "list", ... as Python names types, for errors.
const char* type_name(const Value& value);

}  // namespace tern::jinja
