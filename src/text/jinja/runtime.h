// What one rendering shares between the interpreter, the filters, the tests and the methods.
#pragma once

#include <ctime>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/meter.h"
#include "text/jinja/value.h"

namespace tern::jinja {

struct Runtime {
  Runtime(const Limits& limits, std::optional<std::tm> time) : meter(limits), now(time) {}
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  Meter meter;
  std::optional<std::tm> now;  ///< what strftime_now() says; nothing: the clock's local time
  /// Whatever can point back to itself: taken apart at the end, so that nothing leaks or is freed in a chain.
  std::vector<std::shared_ptr<Namespace>> spaces;
  std::vector<std::shared_ptr<Scope>> scopes;
  std::vector<std::shared_ptr<const Loop>> loops;
};

/// The values of a call.
struct CallArguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

/// A call's values by parameter: names[i] is the i-th positional one.
class Bound {
 public:
  /// Throws Error{bad_input} for too many, unknown, doubled or missing (of the first `required`) arguments.
  Bound(const char* callee, const CallArguments& arguments, std::initializer_list<const char*> names,
        size_t required = 0);
  Bound(Bound&&) = default;

  /// Null where it was not given.
  const Value* operator[](size_t i) const { return values_[i]; }
  bool has(size_t i) const { return values_[i] != nullptr; }
  /// Whether it was given and is not none, which most parameters take for nothing.
  bool given(size_t i) const { return has(i) && !values_[i]->is_none(); }
  /// Throw Error{bad_input} where it is of another type.
  int64_t integer(size_t i, int64_t otherwise) const;
  const Text& text(size_t i) const;  ///< of one that was given
  bool truth(size_t i, bool otherwise) const;

 private:
  const char* callee_;
  std::vector<const char*> names_;
  std::vector<const Value*> values_;
};

/// Throws Error{bad_input} where a call has any.
inline void no_arguments(const char* callee, const CallArguments& arguments) {
  const Bound none(callee, arguments, {});
}

}  // namespace tern::jinja
