#include "measure/load/stream_event.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "base/error.h"

namespace tern::load {
namespace {

using Json = nlohmann::json;

/// Follows the parser by the objects that matter; everything else is `other`.
class EventHandler : public nlohmann::json_sax<Json> {
 public:
  StreamEvent event;

  bool start_object(std::size_t) override {
    push(child());
    if (at() == Place::usage) event.usage.emplace();
    if (at() == Place::tern) event.tern.emplace();
    if (at() == Place::error) event.error.emplace();
    return true;
  }
  bool end_object() override { return pop(); }
  bool start_array(std::size_t) override {
    if (places_.empty()) fail(ErrorKind::bad_input, "an event: expected an object");
    push(at() == Place::root && key_ == "choices" ? Place::choices : Place::other);
    return true;
  }
  bool end_array() override { return pop(); }
  bool key(string_t& key) override {
    key_ = key;
    return true;
  }
  bool string(string_t& text) override {
    if (places_.empty()) fail(ErrorKind::bad_input, "an event: expected an object");
    if (text.empty()) return true;
    switch (at()) {
      case Place::delta:
        if (key_ == "content") event.answer = true;
        if (key_ == "reasoning_content" || key_ == "reasoning") event.thinking = true;
        break;
      case Place::choice:
        if (key_ == "text") event.answer = true;
        if (key_ == "finish_reason" && (event.finish.empty() || event.finish == "stop"))
          event.finish = text.substr(0, 32);
        break;
      case Place::error:
        if (key_ == "message") event.error = text.substr(0, 200);
        break;
      case Place::root:
        if (key_ == "error") event.error = text.substr(0, 200);
        break;
      default:
        break;
    }
    return true;
  }
  bool number_unsigned(number_unsigned_t number) override {
    if (places_.empty()) fail(ErrorKind::bad_input, "an event: expected an object");
    if (at() == Place::usage && key_ == "prompt_tokens") event.usage->prompt = number;
    if (at() == Place::usage && key_ == "completion_tokens") event.usage->completion = number;
    if (at() == Place::details && key_ == "reasoning_tokens" && event.usage) event.usage->reasoning = number;
    return true;
  }
  bool boolean(bool value) override {
    if (places_.empty()) fail(ErrorKind::bad_input, "an event: expected an object");
    if (at() == Place::tern && key_ == "promised") event.tern->promised = value;
    if (at() == Place::tern && key_ == "on_time") event.tern->on_time = value;
    return true;
  }
  bool null() override { return in_object(); }
  bool number_integer(number_integer_t) override { return in_object(); }
  bool number_float(number_float_t, const string_t&) override { return in_object(); }
  bool binary(binary_t&) override { return false; }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    fail(ErrorKind::bad_input, "an event's JSON is broken at byte {}", position);
  }

 private:
  enum class Place : uint8_t { root, choices, choice, delta, tern, usage, details, error, other };
  static constexpr size_t kDeepest = 64;

  bool in_object() const {
    if (places_.empty()) fail(ErrorKind::bad_input, "an event: expected an object");
    return true;
  }
  Place at() const { return places_.back(); }
  /// What an object is that begins here.
  Place child() const {
    if (places_.empty()) return Place::root;
    switch (at()) {
      case Place::root:
        return key_ == "usage" ? Place::usage : key_ == "error" ? Place::error : Place::other;
      case Place::choices:
        return Place::choice;
      case Place::choice:
        return key_ == "delta" || key_ == "message" ? Place::delta
               : key_ == "tern"                     ? Place::tern
                                                    : Place::other;
      case Place::usage:
        return key_ == "completion_tokens_details" ? Place::details : Place::other;
      default:
        return Place::other;
    }
  }
  void push(Place place) {
    if (places_.size() == kDeepest) fail(ErrorKind::limit, "an event of more than {} levels", kDeepest);
    places_.push_back(place);
  }
  bool pop() {
    places_.pop_back();
    return true;
  }

  std::vector<Place> places_;
  std::string key_;
};

}  // namespace

StreamEvent read_event(std::string_view json) {
  EventHandler handler;
  Json::sax_parse(json.begin(), json.end(), &handler);
  return std::move(handler.event);
}

}  // namespace tern::load
