#include "text/jinja/value.h"

#include <algorithm>

namespace tern::jinja {

Value Value::undefined(std::string hint) {
  return Undefined{std::make_shared<const std::string>(std::move(hint))};
}

std::optional<int64_t> Value::integer() const {
  if (const auto* b = as<bool>()) return *b ? 1 : 0;
  if (const auto* i = as<int64_t>()) return *i;
  return std::nullopt;
}

std::optional<double> Value::number() const {
  if (const auto* d = as<double>()) return *d;
  if (const auto i = integer()) return static_cast<double>(*i);
  return std::nullopt;
}

int Value::depth() const {
  if (const List* l = list()) return l->depth;
  if (const Dict* d = dict()) return d->depth;
  return 0;
}

void Dict::put(std::string key, Value name, Value value) {
  depth = std::max({depth, name.depth() + 1, value.depth() + 1});
  if (depth > kMaxValueDepth) fail(ErrorKind::limit, "values nested deeper than {} levels", kMaxValueDepth);
  const auto [at, fresh] = index.emplace(std::move(key), items.size());
  if (fresh) {
    items.emplace_back(std::move(name), std::move(value));
  } else {
    items[at->second].second = std::move(value);
  }
}

const Value* Dict::find(const std::string& key) const {
  const auto at = index.find(key);
  return at == index.end() ? nullptr : &items[at->second].second;
}

const Value* Dict::get(std::string_view name) const {
  return find("s" + std::string(name));
}

void Dict::set(std::string_view name, Value value) {
  put("s" + std::string(name), Value(Text::trusted_text(std::string(name))), std::move(value));
}

const Value* Namespace::find(std::string_view name) const {
  for (const auto& [key, value] : attributes) {
    if (key == name) return &value;
  }
  return nullptr;
}

void Namespace::set(std::string_view name, Value value) {
  for (auto& [key, old] : attributes) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  attributes.emplace_back(name, std::move(value));
}

Value make_list(Meter& meter, std::vector<Value> items, List::Shape shape) {
  meter.bytes(sizeof(List) + items.size() * sizeof(Value));
  auto list = std::make_shared<List>();
  list->shape = shape;
  for (const Value& item : items) list->depth = std::max(list->depth, item.depth() + 1);
  if (list->depth > kMaxValueDepth)
    fail(ErrorKind::limit, "values nested deeper than {} levels", kMaxValueDepth);
  list->items = std::move(items);
  return std::shared_ptr<const List>(std::move(list));
}

Value make_text(Meter& meter, std::string bytes, bool trusted) {
  meter.bytes(bytes.size() + sizeof(Text));
  meter.length(bytes.size());
  return trusted ? Text::trusted_text(std::move(bytes)) : Text::request_text(std::move(bytes));
}

const char* type_name(const Value& value) {
  static constexpr const char* kNames[] = {"undefined", "none", "boolean", "integer",   "float",    "integer",
                                           "string",    "list", "dict",    "namespace", "function", "loop"};
  if (value.list() && value.list()->shape == List::Shape::tuple) return "tuple";
  if (value.list() && value.list()->shape == List::Shape::generator) return "generator";
  return kNames[value.variant().index()];
}

}  // namespace tern::jinja
