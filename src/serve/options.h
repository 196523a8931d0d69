// What a server is told at start: where it listens and what it accepts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace tern {

struct ServeOptions {
  std::string host = "127.0.0.1";  ///< an address or a name; on a loopback address the Host header is checked
  uint16_t port = 8080;            ///< 0: any free one, see Server::port()
  std::string alias = "tern";      ///< the model's id in requests and replies
  std::optional<uint16_t> grpc_port;  ///< of the gRPC door, on the same host; 0: any free one; unset: no door
  /// Whether a gRPC call with this "authorization" metadata may be answered ("" where it has none). Called on
  /// gRPC's threads. Unset: every call may.
  std::function<bool(std::string_view authorization)> grpc_admits;
  bool handle_signals = false;  ///< SIGTERM and SIGINT call stop(); the second one ends at once

  /// Where a request names none. Unset: 0 for models in tern's own chat format (they were trained for exact
  /// answers), 1 for others, as OpenAI's servers have it.
  std::optional<float> default_temperature;

  size_t header_limit = 16 << 10;  ///< bytes of a request's head; beyond: 431
  size_t body_limit = 4 << 20;     ///< bytes of a request's body; beyond: 413
  size_t unsent_limit = 1 << 20;   ///< bytes waiting for a slow reader; beyond: cancelled and disconnected
  int socket_buffer = 256 << 10;   ///< bytes the kernel may hold for one reader
  int max_choices = 256;           ///< choices running or waiting in the engine; beyond: 429
  int max_connections = 2048;      ///< more wait in the listen queue
  std::chrono::milliseconds header_timeout{
      10'000};  ///< from a request's first byte (accept, on a fresh connection)
  std::chrono::milliseconds body_timeout{30'000};   ///< from the end of the head
  std::chrono::milliseconds idle_timeout{75'000};   ///< between requests on one connection
  std::chrono::milliseconds write_timeout{30'000};  ///< for the reader to take what one write holds
  std::chrono::milliseconds linger{2'000};  ///< for the client to take the last reply before the close
  std::chrono::milliseconds stalled_after{60'000};  ///< work but no step for so long: /health says 503
};

}  // namespace tern
