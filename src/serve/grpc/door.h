// The gRPC door: proto/tern/v1 with the standard services for health and reflection, in front of one engine.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "engine/engine.h"
#include "serve/guard.h"
#include "serve/options.h"
#include "serve/telemetry.h"

namespace tern {

/// A thread of its own accepts connections and carries the engine's events; gRPC has a few more.
class GrpcDoor {
 public:
  /// Listens on options.host and options.grpc_port, and serves. `active` counts the choices that the engine
  /// has, of every door; `on_drained` is called once, on the door's thread. Throws Error{io} where it can't
  /// listen. `engine` and `guard` must outlive it.
  GrpcDoor(Engine& engine, const ServeOptions& options, Guard& guard, std::shared_ptr<Telemetry> telemetry,
           std::shared_ptr<std::atomic<int>> active, std::function<void()> on_drained);
  /// Ends at once what runs.
  ~GrpcDoor();

  uint16_t port() const;
  /// From any thread: new calls get UNAVAILABLE and health says NOT_SERVING; what runs is finished, then the
  /// door closes.
  void drain();
  /// drain(), and what runs is cancelled.
  void abort();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern
