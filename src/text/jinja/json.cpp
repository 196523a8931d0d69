#include "text/jinja/json.h"

#include <memory>
#include <nlohmann/json.hpp>

namespace tern::jinja {
namespace {

/// Builds values from the parser's events.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  bool null() override { return add(None{}); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(int64_t value) override { return add(value); }
  bool number_unsigned(uint64_t value) override {
    if (value <= static_cast<uint64_t>(INT64_MAX)) return add(static_cast<int64_t>(value));
    return add(BigInteger{std::make_shared<const std::string>(std::to_string(value))});
  }
  bool number_float(double value, const std::string& digits) override {
    if (digits.find_first_of(".eE") != std::string::npos) return add(value);
    return add(BigInteger{std::make_shared<const std::string>(digits)});
  }
  bool string(std::string& value) override { return add(Text::request_text(std::move(value))); }
  bool binary(nlohmann::json::binary_t&) override { return false; }

  bool start_object(size_t) override {
    open().dict = std::make_shared<Dict>();
    return true;
  }
  bool key(std::string& value) override {
    open_.back().key = std::move(value);
    return true;
  }
  bool end_object() override {
    Value made = std::shared_ptr<const Dict>(std::move(open_.back().dict));
    open_.pop_back();
    return add(std::move(made));
  }
  bool start_array(size_t) override {
    open();
    return true;
  }
  bool end_array() override {
    auto list = std::make_shared<List>();
    list->items = std::move(open_.back().items);
    for (const Value& item : list->items) list->depth = std::max(list->depth, item.depth() + 1);
    open_.pop_back();
    return add(std::shared_ptr<const List>(std::move(list)));
  }
  bool parse_error(size_t at, const std::string&, const nlohmann::detail::exception& error) override {
    std::string_view what = error.what();
    if (const size_t id = what.find("] "); id != std::string_view::npos) what.remove_prefix(id + 2);
    fail(ErrorKind::bad_input, "not JSON in UTF-8 at byte {}: {}", at, what.substr(0, 200));
  }

  Value take() { return std::move(root_); }

 private:
  struct Open {
    std::shared_ptr<Dict> dict;  ///< null in an array
    std::string key;
    std::vector<Value> items;
  };

  Open& open() {
    if (open_.size() + 2 > kMaxValueDepth)
      fail(ErrorKind::limit, "JSON nested deeper than {} levels", kMaxValueDepth);
    open_.emplace_back();
    return open_.back();
  }

  bool add(Value value) {
    if (++values_ > kMaxJsonValues) fail(ErrorKind::limit, "JSON of more than {} values", kMaxJsonValues);
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (open_.back().dict) {
      Text name = Text::request_text(open_.back().key);
      open_.back().dict->put("s" + open_.back().key, std::move(name), std::move(value));
    } else {
      open_.back().items.push_back(std::move(value));
    }
    return true;
  }

  std::vector<Open> open_;
  Value root_;
  size_t values_ = 0;
};

}  // namespace

Value parse_json(std::string_view text) {
  Builder builder;
  nlohmann::json::sax_parse(text, &builder);
  return builder.take();
}

}  // namespace tern::jinja
