// The variables that a place in a template sees.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace tern::jinja {

/// One level of variables: of the template, a turn of a loop, a call of a macro, a block. What is assigned
/// goes into the innermost one; what is read comes from the innermost one that has it.
struct Scope {
  std::vector<std::pair<int, Value>> variables;  ///< by symbol
  std::shared_ptr<Scope> outer;

  const Value* find(int symbol) const {
    for (const Scope* scope = this; scope; scope = scope->outer.get()) {
      for (const auto& [name, value] : scope->variables) {
        if (name == symbol) return &value;
      }
    }
    return nullptr;
  }
  void set(int symbol, Value value) {
    for (auto& [name, old] : variables) {
      if (name == symbol) {
        old = std::move(value);
        return;
      }
    }
    variables.emplace_back(symbol, std::move(value));
  }
};

}  // namespace tern::jinja
