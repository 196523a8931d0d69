// What values have inside: items, slices, attributes.
#include <algorithm>
#include <limits>

#include "text/jinja/functions.h"
#include "text/jinja/operations.h"

namespace tern::jinja {
namespace {

/// The place that a Python index means in `size` items, nothing outside of them.
std::optional<size_t> place(int64_t index, size_t size) {
  const auto n = static_cast<int64_t>(size);
  if (index < 0) index += n;
  if (index < 0 || index >= n) return std::nullopt;
  return static_cast<size_t>(index);
}

struct Slice {
  int64_t begin, end, step, count;
};

int64_t slice_bound(const Value& value, int64_t low, int64_t high, int64_t n, int64_t otherwise) {
  if (value.is_none()) return otherwise;
  const auto index = value.integer();
  if (!index) fail(ErrorKind::bad_input, "a slice's bound is {}, expected an integer", type_name(value));
  return std::clamp(*index < 0 ? *index + n : *index, low, high);
}

/// Python's slice.indices().
Slice slice_of(const Value& begin, const Value& end, const Value& step_value, int64_t n) {
  int64_t step = 1;
  if (!step_value.is_none()) {
    const auto given = step_value.integer();
    if (!given)
      fail(ErrorKind::bad_input, "a slice's step is {}, expected an integer", type_name(step_value));
    step = std::max(*given, -std::numeric_limits<int64_t>::max());
    if (step == 0) fail(ErrorKind::bad_input, "a slice's step is zero");
  }
  const int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
  const int64_t from = slice_bound(begin, low, high, n, step < 0 ? high : low);
  const int64_t to = slice_bound(end, low, high, n, step < 0 ? low : high);
  int64_t count = 0;
  if (step > 0 && from < to) count = (to - from - 1) / step + 1;
  if (step < 0 && to < from) count = (from - to - 1) / -step + 1;
  return {from, to, step, count};
}

Value slice_text(Runtime& runtime, const Text& text, const Value& begin, const Value& end,
                 const Value& step) {
  runtime.meter.steps(text.size() / 16);
  const Slice slice = slice_of(begin, end, step, static_cast<int64_t>(text.characters()));
  if (slice.count == 0) return Text().as_markup(text.markup());
  if (slice.step == 1) {
    const size_t from = text.offset(static_cast<size_t>(slice.begin));
    const size_t to = text.offset(static_cast<size_t>(slice.begin + slice.count));
    runtime.meter.bytes(to - from);
    return text.slice(from, to);
  }
  const auto characters = walk(runtime, Value(text));
  TextBuilder picked(runtime.meter);
  for (int64_t i = 0; i < slice.count; ++i)
    picked.append(*characters->items[static_cast<size_t>(slice.begin + i * slice.step)].text());
  return picked.take().as_markup(text.markup());
}

/// value[key], nothing where Python raises TypeError or LookupError.
std::optional<Value> subscript(Runtime& runtime, const Value& value, const Value& key) {
  if (const Dict* dict = value.dict()) {
    const auto index = key_of(runtime, key);
    const Value* found = index ? dict->find(*index) : nullptr;
    return found ? std::optional(*found) : std::nullopt;
  }
  const auto index = key.integer();
  if (!index) return std::nullopt;
  if (const Text* text = value.text()) {
    runtime.meter.steps(text->size() / 16);
    const auto at = place(*index, text->characters());
    if (!at) return std::nullopt;
    const size_t begin = text->offset(*at);
    return Value(text->slice(begin, text->offset(*at + 1)));
  }
  const List* list = value.list();
  if (!list || list->shape == List::Shape::generator || list->shape == List::Shape::view) return std::nullopt;
  const auto at = place(*index, list->items.size());
  return at ? std::optional(list->items[*at]) : std::nullopt;
}

}  // namespace

Value get_slice(Runtime& runtime, const Value& value, const Value& begin, const Value& end,
                const Value& step) {
  if (const auto* undefined = value.as<Undefined>())
    fail(ErrorKind::bad_input, "{} is undefined", undefined->what());
  if (const Text* text = value.text()) return slice_text(runtime, *text, begin, end, step);
  const List* list = value.list();
  const bool sliced = list && list->shape != List::Shape::generator && list->shape != List::Shape::view;
  if (!sliced) fail(ErrorKind::bad_input, "{} has no slices", type_name(value));
  const Slice slice = slice_of(begin, end, step, static_cast<int64_t>(list->items.size()));
  std::vector<Value> items;
  runtime.meter.steps(static_cast<uint64_t>(slice.count));
  for (int64_t i = 0; i < slice.count; ++i)
    items.push_back(list->items[static_cast<size_t>(slice.begin + i * slice.step)]);
  if (list->shape != List::Shape::range) return make_list(runtime.meter, std::move(items), list->shape);
  auto range = std::make_shared<List>();  // Python's slice of a range is one, and prints as one
  const auto [first, past, stride] = list->range;
  range->shape = List::Shape::range;
  range->items = std::move(items);
  range->range = {first + slice.begin * stride, first + slice.end * stride, stride * slice.step};
  runtime.meter.bytes(range->items.size() * sizeof(Value));
  return std::shared_ptr<const List>(std::move(range));
}

Value get_attribute(Runtime& runtime, const Value& value, const std::string& name) {
  runtime.meter.steps();
  if (const auto* undefined = value.as<Undefined>())
    fail(ErrorKind::bad_input, "{} is undefined, and so has no {}", undefined->what(), name);
  if (auto found = find_attribute(runtime, value, name)) return *found;
  if (const Dict* dict = value.dict()) {
    if (const Value* item = dict->get(name)) return *item;
  }
  return Value::undefined(fmt::format("{} of {}", name, type_name(value)));
}

Value get_item(Runtime& runtime, const Value& value, const Value& key) {
  runtime.meter.steps();
  if (const auto* undefined = value.as<Undefined>())
    fail(ErrorKind::bad_input, "{} is undefined, and so has no items", undefined->what());
  if (auto found = subscript(runtime, value, key)) return *found;
  if (const Text* name = key.text()) {
    if (auto found = find_attribute(runtime, value, name->bytes())) return *found;
    return Value::undefined(fmt::format("{} of {}", name->bytes().substr(0, 100), type_name(value)));
  }
  return Value::undefined(fmt::format("an item of {}", type_name(value)));
}

}  // namespace tern::jinja
