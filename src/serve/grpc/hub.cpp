#include "serve/grpc/hub.h"

#include <string_view>
#include <utility>

#include "serve/api_error.h"
#include "serve/grpc/call.h"

namespace tern {

void CallSet::add(std::shared_ptr<GenerateCall> call) {
  const std::lock_guard lock(mutex_);
  calls_.emplace(call.get(), std::move(call));
}

void CallSet::remove(const GenerateCall* call) {
  std::shared_ptr<GenerateCall> last;  // ends after the lock
  const std::lock_guard lock(mutex_);
  const auto found = calls_.find(call);
  last = std::move(found->second);
  calls_.erase(found);
}

std::vector<std::shared_ptr<GenerateCall>> CallSet::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<GenerateCall>> all;
  for (const auto& [key, call] : calls_) all.push_back(call);
  return all;
}

bool CallSet::empty() const {
  const std::lock_guard lock(mutex_);
  return calls_.empty();
}

void CallHub::check_admitted(const grpc::ServerContextBase& context) const {
  const auto& metadata = context.client_metadata();
  const auto found = metadata.find("authorization");
  const std::string_view given =
      found == metadata.end() ? "" : std::string_view(found->second.data(), found->second.size());
  if (options.grpc_admits && !options.grpc_admits(given)) {
    throw ApiError(401, "A valid API key is needed, as metadata \"authorization: Bearer KEY\".", "",
                   "invalid_api_key");
  }
  if (draining) throw ApiError(503, "The server is shutting down.");
}

}  // namespace tern
