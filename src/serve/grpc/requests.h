// Requests of proto/tern/v1 as the requests that the planner takes.
#pragma once

#include <chrono>
#include <optional>
#include <variant>

#include <tern/v1/tern.pb.h>

#include "serve/openai.h"

namespace tern {

/// Checks the fields as the HTTP API does, by writing the request in its JSON for its parser: so every field
/// has one meaning, one range and one error at both doors. Throws ApiError, nothing else but std::bad_alloc,
/// on any message.
std::variant<ChatRequest, CompletionRequest> read_request(const v1::GenerateRequest& request);

/// A request whose prompt is the one that is asked about. Throws as read_request.
std::variant<ChatRequest, CompletionRequest> read_request(const v1::TokenizeRequest& request);

/// The `deadline_ms` of a call that its client gives up after `left`: a little sooner, so that the last event
/// still reaches it, and never more than kMaxDeadlineMs.
int deadline_ms_of(std::chrono::nanoseconds left);

}  // namespace tern
