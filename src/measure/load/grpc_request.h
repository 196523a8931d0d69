// OpenAI's requests as messages of tern's own API.
#pragma once

#include <tern/v1/tern.pb.h>

#include "measure/load/requests.h"

namespace tern::load {

/// The request's body as proto/tern/v1 has it, but for deadline_ms, which is the call's own, and for stream
/// and stream_options, which go without saying. enable_thinking is an effort: none, or, where no effort is
/// asked for, xhigh, which has no budget. Fields that are null are left out.
/// Throws Error{unsupported} naming a field that the proto has no place for, Error{bad_input} naming one
/// whose value is not what OpenAI's API has there.
v1::GenerateRequest to_generate_request(const LoadRequest& request);

}  // namespace tern::load
