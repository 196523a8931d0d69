// jinja2's filters of lists, mappings and attributes.
#include <algorithm>
#include <unordered_set>
#include <utility>

#include "text/jinja/filters.h"
#include "text/jinja/functions.h"
#include "text/jinja/operations.h"
#include "text/jinja/strings.h"

namespace tern::jinja {
namespace {

Value list_of(Runtime& runtime, std::vector<Value> items) {
  return make_list(runtime.meter, std::move(items));
}
Value generator_of(Runtime& runtime, std::vector<Value> items) {
  return make_list(runtime.meter, std::move(items), List::Shape::generator);
}

// --- looking into items

/// The attribute "a.b.0" of an item, `otherwise` where it is undefined.
Value dotted_item(Runtime& runtime, Value value, const Value& attribute, const Value* otherwise = nullptr) {
  std::vector<Value> parts;
  if (const Text* path = attribute.text()) {
    const Text dot = Text::trusted_text(".");
    for (Text& part : split(runtime, *path, &dot, -1)) {
      const bool digits = !part.empty() && std::all_of(part.view().begin(), part.view().end(),
                                                       [](char c) { return c >= '0' && c <= '9'; });
      parts.push_back(digits && part.size() < 18 ? Value(static_cast<int64_t>(std::stoll(part.bytes())))
                                                 : Value(std::move(part)));
    }
  } else {
    parts.push_back(attribute);
  }
  for (const Value& part : parts) {
    value = get_item(runtime, value, part);
    if (value.is_undefined() && otherwise) value = *otherwise;
  }
  return value;
}

/// The attribute of an item; the item itself where none is asked for.
Value part_of(Runtime& runtime, const Value& item, const Value* attribute) {
  return attribute && !attribute->is_none() ? dotted_item(runtime, item, *attribute) : item;
}

/// What items are sorted or told apart by: an attribute, where one is given, in small letters unless the
/// case counts.
class Key {
 public:
  Key(Runtime& runtime, const Value* attribute, bool case_sensitive)
      : runtime_(runtime), attribute_(attribute), case_sensitive_(case_sensitive) {}

  Value operator()(const Value& item) const { return folded(part_of(runtime_, item, attribute_)); }
  Value folded(const Value& value) const {
    return value.text() && !case_sensitive_ ? Value(lower(runtime_, *value.text())) : value;
  }

 private:
  Runtime& runtime_;
  const Value* attribute_;
  bool case_sensitive_;
};

std::vector<Value> sorted(Runtime& runtime, const std::vector<Value>& items, bool reverse,
                          auto&& key_of_item) {
  std::vector<std::pair<Value, size_t>> keys;
  for (size_t i = 0; i < items.size(); ++i) keys.emplace_back(key_of_item(items[i]), i);
  std::stable_sort(keys.begin(), keys.end(), [&](const auto& a, const auto& b) {
    return reverse ? order(runtime, b.first, a.first) < 0 : order(runtime, a.first, b.first) < 0;
  });
  std::vector<Value> made;
  for (const auto& [ignored, i] : keys) made.push_back(items[i]);
  return made;
}

// --- lists

Value filter_list(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("list", arguments);
  return list_of(runtime, walk(runtime, value)->items);
}

Value filter_length(Runtime&, const Value& value, const CallArguments& arguments) {
  no_arguments("length", arguments);
  const auto n = length(value);
  if (!n) fail(ErrorKind::bad_input, "length: {} has none", type_name(value));
  return *n;
}

Value filter_first(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("first", arguments);
  const auto items = walk(runtime, value);
  return items->items.empty() ? Value::undefined("the first item of nothing") : items->items.front();
}

Value filter_last(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("last", arguments);
  if (!length(value)) fail(ErrorKind::bad_input, "last: {} can't be reversed", type_name(value));
  const auto items = walk(runtime, value);
  return items->items.empty() ? Value::undefined("the last item of nothing") : items->items.back();
}

Value filter_reverse(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("reverse", arguments);
  std::vector<Value> items = walk(runtime, value)->items;
  std::reverse(items.begin(), items.end());
  if (!value.text()) return generator_of(runtime, std::move(items));
  TextBuilder out(runtime.meter);
  for (const Value& item : items) out.append(*item.text());
  return out.take().as_markup(value.text()->markup());
}

/// The keys and values of a dict as tuples.
std::vector<Value> pairs_of(Runtime& runtime, const char* filter, const Value& value) {
  if (!value.dict()) fail(ErrorKind::bad_input, "{}: {}, expected a mapping", filter, type_name(value));
  std::vector<Value> pairs;
  for (const auto& [key, item] : value.dict()->items)
    pairs.push_back(make_list(runtime.meter, {key, item}, List::Shape::tuple));
  return pairs;
}

Value filter_items(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  no_arguments("items", arguments);
  return generator_of(runtime,
                      value.is_undefined() ? std::vector<Value>() : pairs_of(runtime, "items", value));
}

Value filter_dictsort(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("dictsort", arguments, {"case_sensitive", "by", "reverse"});
  const std::string by = bound.has(1) ? bound.text(1).bytes() : "key";
  if (by != "key" && by != "value")
    fail(ErrorKind::bad_input, "dictsort: by is {}, expected key or value", by);
  const std::vector<Value> pairs = pairs_of(runtime, "dictsort", value);
  const Key key(runtime, nullptr, bound.truth(0, false));
  const size_t place = by == "key" ? 0 : 1;
  return list_of(runtime, sorted(runtime, pairs, bound.truth(2, false),
                                 [&](const Value& pair) { return key.folded(pair.list()->items[place]); }));
}

Value filter_sort(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("sort", arguments, {"reverse", "case_sensitive", "attribute"});
  const auto items = walk(runtime, value);
  // Keys are lists of attributes, of the item itself where none is named.
  std::vector<Value> attributes;
  if (bound.has(2) && bound[2]->text()) {
    const Text comma = Text::trusted_text(",");
    for (Text& one : split(runtime, *bound[2]->text(), &comma, -1)) attributes.emplace_back(std::move(one));
  } else {
    attributes.push_back(bound.has(2) ? *bound[2] : Value(None{}));
  }
  const bool case_sensitive = bound.truth(1, false);
  return list_of(runtime, sorted(runtime, items->items, bound.truth(0, false), [&](const Value& item) {
                   std::vector<Value> keys;
                   for (const Value& one : attributes)
                     keys.push_back(Key(runtime, &one, case_sensitive)(item));
                   return list_of(runtime, std::move(keys));
                 }));
}

Value filter_unique(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("unique", arguments, {"case_sensitive", "attribute"});
  const Key key(runtime, bound[1], bound.truth(0, false));
  std::unordered_set<std::string> seen;
  std::vector<Value> items;
  for (const Value& item : walk(runtime, value)) {
    const auto index = key_of(runtime, key(item));
    if (!index) fail(ErrorKind::bad_input, "unique: {} can't be a key", type_name(item));
    if (seen.insert(*index).second) items.push_back(item);
  }
  return generator_of(runtime, std::move(items));
}

template <bool most>
Value filter_extreme(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound(most ? "max" : "min", arguments, {"case_sensitive", "attribute"});
  const Key key(runtime, bound[1], bound.truth(0, false));
  const auto items = walk(runtime, value);
  if (items->items.empty()) return Value::undefined("the extreme of nothing");
  size_t best = 0;
  Value best_key = key(items->items[0]);
  for (size_t i = 1; i < items->items.size(); ++i) {
    Value here = key(items->items[i]);
    const auto ordered = order(runtime, here, best_key);
    if (most ? ordered > 0 : ordered < 0) {
      best = i;
      best_key = std::move(here);
    }
  }
  return items->items[best];
}

Value filter_sum(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("sum", arguments, {"attribute", "start"});
  Value total = bound.has(1) ? *bound[1] : Value(int64_t{0});
  if (total.text()) fail(ErrorKind::bad_input, "sum: strings are joined by join");
  for (const Value& item : walk(runtime, value))
    total = arithmetic(runtime, Operator::add, total, part_of(runtime, item, bound[0]));
  return total;
}

Value filter_batch(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("batch", arguments, {"linecount", "fill_with"}, 1);
  const int64_t size = bound.integer(0, 1);
  const bool filled = bound.given(1);
  std::vector<Value> batches, batch;
  for (const Value& item : walk(runtime, value)) {
    if (static_cast<int64_t>(batch.size()) == size)
      batches.push_back(list_of(runtime, std::exchange(batch, {})));
    batch.push_back(item);
  }
  if (!batch.empty()) {
    while (filled && static_cast<int64_t>(batch.size()) < size) {
      runtime.meter.steps();
      runtime.meter.bytes(sizeof(Value));
      batch.push_back(*bound[1]);
    }
    batches.push_back(list_of(runtime, std::move(batch)));
  }
  return generator_of(runtime, std::move(batches));
}

Value filter_slice(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("slice", arguments, {"slices", "fill_with"}, 1);
  const auto items = walk(runtime, value);
  const int64_t n = bound.integer(0, 1), size = static_cast<int64_t>(items->items.size());
  if (n == 0) fail(ErrorKind::bad_input, "slice: division by zero");
  const bool filled = bound.given(1);
  const int64_t each = size / n, longer = size % n;
  std::vector<Value> slices;
  int64_t at = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t end = at + each + (i < longer ? 1 : 0);
    std::vector<Value> slice(items->items.begin() + at, items->items.begin() + end);
    if (filled && i >= longer) slice.push_back(*bound[1]);
    runtime.meter.steps();
    slices.push_back(list_of(runtime, std::move(slice)));
    at = end;
  }
  return generator_of(runtime, std::move(slices));
}

Value filter_join(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("join", arguments, {"d", "attribute"});
  const Text separator = bound.has(0) ? to_text(runtime, *bound[0]) : Text();
  std::vector<Text> pieces;
  for (const Value& item : walk(runtime, value))
    pieces.push_back(to_text(runtime, part_of(runtime, item, bound[1])));
  return join(runtime, separator, pieces);
}

// --- choosing items

CallArguments rest_of(const CallArguments& arguments, size_t from) {
  CallArguments rest;
  for (size_t i = from; i < arguments.positional.size(); ++i)
    rest.positional.push_back(arguments.positional[i]);
  rest.named = arguments.named;
  return rest;
}

const std::string& name_in(const char* filter, const CallArguments& arguments, size_t i) {
  const Text* name = arguments.positional[i].text();
  if (!name)
    fail(ErrorKind::bad_input, "{}: expected a name, found {}", filter, type_name(arguments.positional[i]));
  return name->bytes();
}

template <bool by_attribute, bool wanted>
Value filter_choose(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  constexpr const char* filter =
      by_attribute ? (wanted ? "selectattr" : "rejectattr") : (wanted ? "select" : "reject");
  if (!truth(value)) return generator_of(runtime, {});  // so jinja2: none has no items, but is no error
  size_t at = 0;
  const Value* attribute = nullptr;
  if (by_attribute) {
    if (arguments.positional.empty()) fail(ErrorKind::bad_input, "{}: expected an attribute", filter);
    attribute = &arguments.positional[at++];
  }
  const std::string* test = nullptr;
  if (arguments.positional.size() > at) test = &name_in(filter, arguments, at++);
  const CallArguments rest = rest_of(arguments, at);
  std::vector<Value> chosen;
  for (const Value& item : walk(runtime, value)) {
    const Value looked_at = attribute ? dotted_item(runtime, item, *attribute) : item;
    const bool holds = test ? call_test(runtime, *test, looked_at, rest) : truth(looked_at);
    if (holds == wanted) chosen.push_back(item);
  }
  return generator_of(runtime, std::move(chosen));
}

Value filter_map(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  if (!truth(value)) return generator_of(runtime, {});
  std::vector<Value> mapped;
  const auto items = walk(runtime, value);
  if (arguments.positional.empty()) {
    const Bound bound("map", arguments, {"attribute", "default"}, 1);
    for (const Value& item : items->items) mapped.push_back(dotted_item(runtime, item, *bound[0], bound[1]));
    return generator_of(runtime, std::move(mapped));
  }
  const std::string& filter = name_in("map", arguments, 0);
  const CallArguments rest = rest_of(arguments, 1);
  for (const Value& item : items->items) mapped.push_back(call_filter(runtime, filter, item, rest));
  return generator_of(runtime, std::move(mapped));
}

Value filter_groupby(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1);
  const Key key(runtime, nullptr, bound.truth(2, false));
  const auto grouper = [&](const Value& item) { return dotted_item(runtime, item, *bound[0], bound[1]); };
  const std::vector<Value> items = sorted(runtime, walk(runtime, value)->items, false,
                                          [&](const Value& item) { return key.folded(grouper(item)); });
  std::vector<Value> groups;
  for (size_t begin = 0; begin < items.size();) {
    const Value name = grouper(items[begin]);
    size_t end = begin + 1;
    while (end < items.size() && equal(runtime, key.folded(grouper(items[end])), key.folded(name))) ++end;
    Value group = list_of(runtime, std::vector<Value>(items.begin() + static_cast<ptrdiff_t>(begin),
                                                      items.begin() + static_cast<ptrdiff_t>(end)));
    groups.push_back(make_list(runtime.meter, {name, std::move(group)}, List::Shape::tuple));
    begin = end;
  }
  return list_of(runtime, std::move(groups));
}

// --- attributes and defaults

Value filter_default(Runtime&, const Value& value, const CallArguments& arguments) {
  const Bound bound("default", arguments, {"default_value", "boolean"});
  const bool missing = value.is_undefined() || (bound.truth(1, false) && !truth(value));
  if (!missing) return value;
  return bound.has(0) ? *bound[0] : Value(Text());
}

Value filter_attr(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  const Bound bound("attr", arguments, {"name"}, 1);
  if (value.is_undefined()) return get_attribute(runtime, value, to_text(runtime, *bound[0]).bytes());
  const auto found = find_attribute(runtime, value, to_text(runtime, *bound[0]).bytes());
  return found ? *found : Value::undefined("an attribute");
}

}  // namespace

const Filters& list_filters() {
  static const Filters all = {
      {"attr", filter_attr},
      {"batch", filter_batch},
      {"count", filter_length},
      {"d", filter_default},
      {"default", filter_default},
      {"dictsort", filter_dictsort},
      {"first", filter_first},
      {"groupby", filter_groupby},
      {"items", filter_items},
      {"join", filter_join},
      {"last", filter_last},
      {"length", filter_length},
      {"list", filter_list},
      {"map", filter_map},
      {"max", filter_extreme<true>},
      {"min", filter_extreme<false>},
      {"random", nullptr},
      {"reject", filter_choose<false, false>},
      {"rejectattr", filter_choose<true, false>},
      {"reverse", filter_reverse},
      {"select", filter_choose<false, true>},
      {"selectattr", filter_choose<true, true>},
      {"slice", filter_slice},
      {"sort", filter_sort},
      {"sum", filter_sum},
      {"unique", filter_unique},
  };
  return all;
}

}  // namespace tern::jinja
