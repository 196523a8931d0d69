#include "serve/grpc/status.h"

#include <cmath>
#include <string>
#include <string_view>

#include "serve/submit.h"
#include "text/utf8.h"

namespace tern {
namespace {

grpc::StatusCode code_of(int http) {
  switch (http) {
    case 401:
      return grpc::StatusCode::UNAUTHENTICATED;
    case 403:
      return grpc::StatusCode::PERMISSION_DENIED;
    case 404:
      return grpc::StatusCode::NOT_FOUND;
    case 429:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case 503:
      return grpc::StatusCode::UNAVAILABLE;
    default:
      return http >= 500 ? grpc::StatusCode::INTERNAL : grpc::StatusCode::INVALID_ARGUMENT;
  }
}

/// A message travels as a header, which clients take 8 KiB of; a client's own text may make it longer.
std::string shortened(std::string message) {
  constexpr size_t kMost = 1000;
  if (message.size() <= kMost) return message;
  message.resize(utf8_valid_prefix(std::string_view(message).substr(0, kMost)));
  return message + "…";
}

}  // namespace

grpc::Status status_of(const std::exception& error, grpc::ServerContextBase& context) {
  const ApiError api = api_error_of(error);
  if (!api.code().empty()) context.AddTrailingMetadata("tern-error-code", api.code());
  if (!api.param().empty()) context.AddTrailingMetadata("tern-error-param", api.param());
  if (const auto retry = api.retry_s()) {
    const auto ms = std::to_string(static_cast<int64_t>(std::ceil(*retry * 1000)));
    context.AddTrailingMetadata("retry-after-ms", ms);
    context.AddTrailingMetadata("grpc-retry-pushback-ms", ms);
  }
  return grpc::Status(code_of(api.status()), shortened(api.what()));
}

}  // namespace tern
