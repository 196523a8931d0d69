// What the calls of one gRPC door share.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <grpcpp/server_context.h>

#include "engine/engine.h"
#include "serve/guard.h"
#include "serve/mailbox.h"
#include "serve/options.h"
#include "serve/planner.h"
#include "serve/telemetry.h"

namespace tern {

class GenerateCall;

/// The calls that gRPC is not done with, kept alive by it. From any thread.
class CallSet {
 public:
  void add(std::shared_ptr<GenerateCall> call);
  void remove(const GenerateCall* call);
  std::vector<std::shared_ptr<GenerateCall>> all() const;
  bool empty() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<const GenerateCall*, std::shared_ptr<GenerateCall>> calls_;
};

struct CallHub {
  Engine& engine;
  const ServeOptions& options;
  Guard& guard;
  const std::shared_ptr<Telemetry> telemetry;
  const std::shared_ptr<Mailbox> mailbox;
  const std::shared_ptr<std::atomic<int>> active;  ///< choices that the engine has, of every door
  const std::function<void()> on_left;             ///< in the mailbox, after a call has left
  const Planner planner{engine, options};
  std::atomic<bool> draining = false;
  CallSet calls;

  /// Who calls. Throws ApiError for a call that may not be answered now, whatever it asks for: 401 or 503.
  Caller admit(const grpc::ServerContextBase& context) const;
};

/// The first value of a key of the client's metadata, "" without one.
std::string_view metadata_of(const grpc::ServerContextBase& context, const char* key);

}  // namespace tern
