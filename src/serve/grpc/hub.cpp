#include "serve/grpc/hub.h"

#include <string_view>
#include <utility>

#include "serve/api_error.h"
#include "serve/grpc/call.h"

namespace tern {
namespace {

/// Of "ipv4:127.0.0.1:50051" or "ipv6:%5B::1%5D:50051", as gRPC has them; of other kinds the unspecified one.
Address peer_address(std::string_view peer) {
  const size_t scheme = peer.find(':'), port = peer.rfind(':');
  if (scheme == std::string_view::npos || port <= scheme) return {};
  std::string_view host = peer.substr(scheme + 1, port - scheme - 1);
  for (const std::string_view open : {"%5B", "["}) {
    if (host.starts_with(open))
      host = host.substr(open.size(), host.size() - 2 * std::min(open.size(), host.size() / 2));
  }
  return parse_address(host).value_or(Address{});
}

}  // namespace

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

std::string_view metadata_of(const grpc::ServerContextBase& context, const char* key) {
  const auto found = context.client_metadata().find(key);
  if (found == context.client_metadata().end()) return {};
  return {found->second.data(), found->second.size()};
}

Caller CallHub::admit(const grpc::ServerContextBase& context) const {
  Caller caller = guard.admit(metadata_of(context, "authorization"), peer_address(context.peer()));
  if (draining) throw ApiError(503, "The server is shutting down.", "", "shutting_down");
  return caller;
}

}  // namespace tern
