// What chat and completion requests are read with, and what of them tern can't honour.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "serve/json_fields.h"
#include "serve/openai.h"

namespace tern {

/// Throws the ApiError of a field that tern knows but can't honour.
[[noreturn]] void refuse_unsupported(const std::string& field);
/// Whether a value of a field tern can't honour asks for nothing: then it may stand there.
bool asks_nothing(const RequestJson& value);
/// Throws it for the first of the fields that asks for anything.
void refuse_unless_empty(const Fields& fields, std::initializer_list<const char*> keys);
/// Throws it where the field is there and not this word.
void refuse_unless_word(const Fields& fields, const char* key, std::string_view harmless);
/// Token ids from 0 on, not checked against a vocabulary. Throws ApiError naming `name`.
std::vector<int32_t> read_token_ids(const RequestJson& list, const std::string& name);

/// Reads what both kinds of request have, and refuses what neither can ask for. Throws ApiError.
void read_common(const Fields& fields, CommonFields& request);

}  // namespace tern
