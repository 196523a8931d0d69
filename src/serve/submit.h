// From the engine's errors to what a client is told: the same at every door.
#pragma once

#include <atomic>
#include <exception>
#include <memory>

#include "engine/engine.h"
#include "serve/api_error.h"

namespace tern {

/// What a client is told of any exception: ApiError as it is; of Error what was wrong with the request, or
/// 500; 503 where memory is short.
ApiError api_error_of(const std::exception& error);

/// Throws ApiError 429 where `more` choices beside the `active` ones are beyond `most`.
void check_room(int active, size_t more, int most);

/// Engine::submit whose sink's finish lowers `active`. Throws ApiError 429 for a deadline that can't be
/// promised and for a full queue, else as Engine::submit; `active` then is as before.
RequestId submit(Engine& engine, GenerateRequest request, std::shared_ptr<EventSink> sink,
                 std::atomic<int>& active);

}  // namespace tern
