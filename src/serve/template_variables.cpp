#include "serve/template_variables.h"

#include <memory>
#include <utility>

#include "text/jinja/json.h"
#include "text/jinja/operations.h"

namespace tern {
namespace {

using jinja::Dict;
using jinja::List;
using jinja::Text;
using jinja::Value;

Value value_of(Dict dict) {
  return std::shared_ptr<const Dict>(std::make_shared<Dict>(std::move(dict)));
}

Value list_of(std::vector<Value> items) {
  auto list = std::make_shared<List>();
  for (const Value& item : items) list->depth = std::max(list->depth, item.depth() + 1);
  list->items = std::move(items);
  return std::shared_ptr<const List>(std::move(list));
}

/// OpenAI's clients send a call's arguments as JSON in a string; templates want the object.
Value with_parsed_arguments(const Value& call) {
  const Dict* dict = call.dict();
  const Value* function = dict ? dict->get("function") : nullptr;
  const Value* arguments = function && function->dict() ? function->dict()->get("arguments") : nullptr;
  if (!arguments || !arguments->text()) return call;
  Value parsed;
  try {
    parsed = jinja::parse_json(arguments->text()->view());
  } catch (const Error&) {
    return call;  // a model may have written anything
  }
  if (!parsed.dict()) return call;
  Dict inner = *function->dict(), outer = *dict;
  inner.set("arguments", std::move(parsed));
  outer.set("function", value_of(std::move(inner)));
  return value_of(std::move(outer));
}

Value message_value(const Value& given, const ChatMessage& message) {
  Dict made = *given.dict();
  made.set("role", Text::request_text(message.role));
  // Templates know a message that only calls tools by its content being none; any other has text, if empty.
  const Value* content = given.dict()->get("content");
  const Value* asked = given.dict()->get("tool_calls");
  const bool calls_only = (!content || content->is_none()) && asked && jinja::truth(*asked);
  made.set("content", calls_only ? Value(jinja::None{}) : Value(Text::request_text(message.content)));
  if (const Value* calls = made.get("tool_calls"); calls && calls->list()) {
    std::vector<Value> parsed;
    for (const Value& call : calls->list()->items) parsed.push_back(with_parsed_arguments(call));
    made.set("tool_calls", list_of(std::move(parsed)));
  }
  return value_of(std::move(made));
}

void check_objects(const Fields& fields, const char* key) {
  const RequestJson* list = fields.array(key);
  if (!list) return;
  for (size_t i = 0; i < list->size(); ++i) {
    if (!(*list)[i].is_object()) refuse_type(fmt::format("{}[{}]", key, i), "an object", (*list)[i]);
  }
}

}  // namespace

Dict template_variables(std::string_view body, const Fields& fields, std::span<const ChatMessage> messages,
                        std::optional<Thinking> thinking) {
  Value root;
  try {
    root = jinja::parse_json(body);
  } catch (const Error& error) {
    refuse("", "invalid_json", "The body can't be read: {}", error.what());
  }
  const Dict& request = *root.dict();
  Dict variables;
  if (const Value* own = request.get("chat_template_kwargs"); own && own->dict()) variables = *own->dict();
  if (thinking) {  // templates call the same switch differently
    for (const char* name : {"enable_thinking", "thinking"}) variables.set(name, *thinking == Thinking::on);
  }
  if (const auto effort = fields.string("reasoning_effort"))
    variables.set("reasoning_effort", Text::request_text(*effort == "none" ? "low" : *effort));
  std::vector<Value> list;
  const auto& given = request.get("messages")->list()->items;
  for (size_t i = 0; i < messages.size(); ++i) list.push_back(message_value(given[i], messages[i]));
  variables.set("messages", list_of(std::move(list)));
  variables.set("add_generation_prompt", true);
  const bool no_tools = fields.string("tool_choice").value_or("") == "none";
  for (const char* key : {"tools", "documents"}) {
    check_objects(fields, key);
    const Value* value = request.get(key);
    const bool wanted =
        value && value->list() && !value->list()->items.empty() && !(no_tools && key[0] == 't');
    variables.set(key, wanted ? *value : Value(jinja::None{}));
  }
  return variables;
}

}  // namespace tern
