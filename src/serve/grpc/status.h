// Errors as the status of a call.
#pragma once

#include <exception>

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

namespace tern {

/// The status of a call that failed with `error`, for its message as api_error_of has it. Adds the trailers
/// tern-error-code and tern-error-param, and where coming later helps retry-after-ms and gRPC's own
/// grpc-retry-pushback-ms.
grpc::Status status_of(const std::exception& error, grpc::ServerContextBase& context);

}  // namespace tern
