// What a server is told at start: where it listens and what it accepts.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "serve/efforts.h"
#include "serve/limits.h"

namespace tern {

enum class LogFormat { none, json, text };

struct ServeOptions {
  std::string host = "127.0.0.1";  ///< an address or a name; on a loopback address the Host header is checked
  uint16_t port = 8080;            ///< 0: any free one, see Server::port()
  std::string alias = "tern";      ///< the model's id in requests and replies
  std::string version;             ///< what /version says
  std::optional<uint16_t> grpc_port;  ///< of the gRPC door, on the same host; 0: any free one; unset: no door
  bool handle_signals = false;        ///< SIGTERM and SIGINT call stop(); the second one ends at once

  /// Where a request names none. Unset: 0 for models in tern's own chat format (they were trained for exact
  /// answers), 1 for others, as OpenAI's servers have it.
  std::optional<float> default_temperature;

  EffortBudgets efforts;            ///< beside those that the model's kind has
  std::optional<int> max_thinking;  ///< tokens that no request may exceed, whatever it says

  // Who may ask, see serve/guard.h.
  std::string key_file;                    ///< API keys; empty: none are asked for
  bool insecure_no_keys = false;           ///< listening where other machines reach it without keys is meant
  Limits rate_limit;                       ///< of a key whose line sets none; without keys, of an address
  std::vector<std::string> allowed_hosts;  ///< names in Host, beside this machine's own
  std::vector<std::string> allowed_origins;  ///< web pages, e.g. https://shop.example
  std::vector<std::string> trusted_proxies;  ///< addresses or networks whose X-Forwarded-For is believed
  int max_tokens_limit = 0;                  ///< tokens of one choice; 0: the context
  int max_n = 16;                            ///< choices of one request, at most 16

  size_t header_limit = 16 << 10;   ///< bytes of a request's head; beyond: 431
  size_t body_limit = 4 << 20;      ///< bytes of a request's body; beyond: 413
  size_t bodies_limit = 256 << 20;  ///< bytes of all bodies that are arriving; beyond: 503
  size_t unsent_limit = 1 << 20;    ///< bytes waiting for a slow reader; beyond: cancelled and disconnected
  int socket_buffer = 256 << 10;    ///< bytes the kernel may hold for one reader
  int max_choices = 256;            ///< choices running or waiting in the engine; beyond: 429
  int max_connections = 2048;       ///< beyond: who has been idle longest is closed, else 503
  /// Of one client address; beyond: 429. Unset: 256, but for clients on this machine; never for trusted
  /// proxies.
  std::optional<int> connections_per_client;
  std::chrono::milliseconds header_timeout{
      10'000};  ///< from a request's first byte (accept, on a fresh connection)
  std::chrono::milliseconds body_timeout{30'000};  ///< from the end of the head, and
  size_t body_rate = 16 << 10;  ///< a second more for so many bytes of the body that are here
  std::chrono::milliseconds idle_timeout{75'000};   ///< between requests on one connection
  std::chrono::milliseconds write_timeout{30'000};  ///< for the reader to take what one write holds
  std::chrono::milliseconds linger{2'000};  ///< for the client to take the last reply before the close
  std::chrono::milliseconds stalled_after{60'000};  ///< work but no step for so long: /health says 503

  LogFormat log = LogFormat::none;  ///< one line a request
  int log_fd = 2;                   ///< where it goes: an open file descriptor
  bool log_prompts = false;         ///< with the text of prompts and replies
};

}  // namespace tern
