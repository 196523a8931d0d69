// A chat request as its model's template sees it.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "serve/json_fields.h"
#include "text/chat.h"

namespace tern {

/// The template's variables for the request `body`, whose checked fields and messages are given: keys keep
/// their order, which the parser of fields does not. Throws ApiError that names a field of the wrong type.
jinja::Dict template_variables(std::string_view body, const Fields& fields,
                               std::span<const ChatMessage> messages, std::optional<Thinking> thinking);

}  // namespace tern
