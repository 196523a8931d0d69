// OpenAI's API over HTTP/1.1 and, where asked for, tern's own over gRPC, in front of one engine.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/engine.h"
#include "serve/guard.h"
#include "serve/options.h"

namespace tern {

struct Telemetry;  // serve/telemetry.h

/// HTTP's connections live on the one thread that calls run(); the engine has its own, and so has gRPC.
class Server {
 public:
  /// Reads the key file and listens. Throws Error{io} naming host and port where that fails, and
  /// Error{bad_input} where other machines would reach it without keys (see check_exposure). `engine` must
  /// outlive the server.
  Server(Engine& engine, const ServeOptions& options);
  ~Server();

  uint16_t port() const;
  /// Of the gRPC door; 0 where there is none.
  uint16_t grpc_port() const;
  /// "http://127.0.0.1:8080"
  std::string url() const;
  /// Keys and limits, for other doors to the same engine.
  Guard& guard();
  /// What its requests are measured into, for other doors to the same engine.
  const std::shared_ptr<Telemetry>& telemetry() const;
  /// Serves until stop() has been followed by the end of every running answer.
  void run();
  /// From any thread: stops listening and refuses new work; what runs is finished. Called again: ends at
  /// once, running answers are cancelled and their connections closed.
  void stop();

  /// Throws what the constructor would of options that expose the server; for asking before a model is
  /// loaded.
  static void check(const ServeOptions& options);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern
