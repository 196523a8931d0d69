// The functions that every template has.
#include <array>
#include <cmath>
#include <ctime>

#include "text/jinja/functions.h"
#include "text/jinja/operations.h"

namespace tern::jinja {
namespace {

constexpr std::array<std::string_view, 5> kGlobals = {"range", "namespace", "raise_exception", "strftime_now",
                                                      "dict"};
constexpr std::array<std::string_view, 3> kUnsupported = {"lipsum", "cycler", "joiner"};

Value range(Runtime& runtime, const CallArguments& arguments) {
  const Bound bound("range", arguments, {"start", "stop", "step"}, 1);
  if (!arguments.named.empty()) fail(ErrorKind::bad_input, "range: no named arguments");
  for (const Value& value : arguments.positional) {
    if (!value.integer()) fail(ErrorKind::bad_input, "range: {}, expected an integer", type_name(value));
  }
  const bool from_zero = !bound.has(1);
  const int64_t start = from_zero ? 0 : bound.integer(0, 0);
  const int64_t stop = from_zero ? bound.integer(0, 0) : bound.integer(1, 0);
  const int64_t step = bound.integer(2, 1);
  if (step == 0) fail(ErrorKind::bad_input, "range: the step is zero");
  const auto distance = static_cast<__int128>(stop) - start;
  const __int128 count = (distance > 0) == (step > 0) && distance != 0
                             ? (distance + (step > 0 ? step - 1 : step + 1)) / step
                             : 0;
  if (count > kMaxRange) fail(ErrorKind::limit, "range: more than {} numbers", kMaxRange);
  auto list = std::make_shared<List>();
  list->shape = List::Shape::range;
  list->range = {start, stop, step};
  runtime.meter.steps(static_cast<uint64_t>(count));
  runtime.meter.bytes(static_cast<uint64_t>(count) * sizeof(Value));
  for (__int128 i = 0; i < count; ++i) list->items.emplace_back(static_cast<int64_t>(start + i * step));
  return std::shared_ptr<const List>(std::move(list));
}

/// The keys and values that dict(...) and namespace(...) are made of.
std::shared_ptr<Dict> pairs(Runtime& runtime, const char* name, const CallArguments& arguments) {
  if (arguments.positional.size() > 1)
    fail(ErrorKind::bad_input, "{}: more than one positional argument", name);
  auto dict = std::make_shared<Dict>();
  const auto put = [&](const Value& key, const Value& value) {
    auto index = key_of(runtime, key);
    if (!index) fail(ErrorKind::bad_input, "{}: {} can't be a key", name, type_name(key));
    runtime.meter.bytes(2 * sizeof(Value) + index->size());
    dict->put(std::move(*index), key, value);
  };
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    if (from.dict()) {
      for (const auto& [key, value] : from.dict()->items) put(key, value);
    } else {
      for (const Value& item : walk(runtime, from)) {
        const auto pair = walk(runtime, item);
        if (pair->items.size() != 2) fail(ErrorKind::bad_input, "{}: expected pairs", name);
        put(pair->items[0], pair->items[1]);
      }
    }
  }
  for (const auto& [key, value] : arguments.named) put(make_text(runtime.meter, key, true), value);
  return dict;
}

Value make_namespace(Runtime& runtime, const CallArguments& arguments) {
  auto space = std::make_shared<Namespace>();
  const auto made = pairs(runtime, "namespace", arguments);
  for (const auto& [key, value] : made->items) {
    if (!key.text()) fail(ErrorKind::unsupported, "namespace: an attribute that is {}", type_name(key));
    space->attributes.emplace_back(key.text()->bytes(), value);
  }
  runtime.meter.bytes(sizeof(Namespace) + space->attributes.size() * sizeof(Value));
  runtime.spaces.push_back(space);
  return space;
}

Value strftime_now(Runtime& runtime, const CallArguments& arguments) {
  const Bound bound("strftime_now", arguments, {"format"}, 1);
  const std::string& format = bound.text(0).bytes();
  if (format.size() > 1000) fail(ErrorKind::limit, "strftime_now: a format of {} bytes", format.size());
  std::tm time = {};
  if (runtime.now) {
    time = *runtime.now;
  } else {
    const std::time_t seconds = std::time(nullptr);
    ::localtime_r(&seconds, &time);
  }
  // A byte more than the format, for strftime() says 0 both for an empty text and for a full buffer.
  std::string text(64 * format.size() + 64, '\0');
  const size_t written = std::strftime(text.data(), text.size(), (format + ".").c_str(), &time);
  text.resize(written > 0 ? written - 1 : 0);
  return make_text(runtime.meter, std::move(text), false);
}

}  // namespace

std::optional<Value> find_global(const std::string& name) {
  for (const std::string_view other : kUnsupported) {
    if (name == other) fail(ErrorKind::unsupported, "the function {}", name);
  }
  for (const std::string_view known : kGlobals) {
    if (name != known) continue;
    auto made = std::make_shared<Callable>();
    made->kind = Callable::Kind::global;
    made->name = name;
    return Value(std::shared_ptr<const Callable>(std::move(made)));
  }
  return std::nullopt;
}

Value call_global(Runtime& runtime, const std::string& name, const CallArguments& arguments) {
  if (name == "range") return range(runtime, arguments);
  if (name == "namespace") return make_namespace(runtime, arguments);
  if (name == "strftime_now") return strftime_now(runtime, arguments);
  if (name == "dict") return std::shared_ptr<const Dict>(pairs(runtime, "dict", arguments));
  const Bound bound("raise_exception", arguments, {"message"}, 1);
  fail(ErrorKind::bad_input, "{}", to_text(runtime, *bound[0]).bytes().substr(0, 1000));
}

}  // namespace tern::jinja
