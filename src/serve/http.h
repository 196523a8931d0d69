// One HTTP request and where its answer goes, without sockets: what lies between connections and the service.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "serve/address.h"
#include "serve/guard.h"

namespace tern {

class RequestMeter;

struct HttpRequest {
  std::string method;           ///< as sent: GET, POST, …
  std::string path;             ///< the target without its query
  std::string host;             ///< the Host header, may be empty
  std::string origin;           ///< the Origin header, may be empty
  std::string deadline_ms;      ///< X-Tern-Deadline-Ms, may be empty
  std::string accept_encoding;  ///< Accept-Encoding, may be empty
  std::string if_none_match;    ///< If-None-Match, may be empty
  std::string authorization;    ///< the Authorization header; empty where there are several
  std::string preflight;        ///< Access-Control-Request-Method, may be empty
  Address client;               ///< who asks, behind trusted proxies, too
  Caller caller;                ///< set by the service
  std::string body;
  TimePoint arrived;                    ///< its first byte; on a fresh connection, the accept
  std::shared_ptr<RequestMeter> meter;  ///< what follows it for metrics and log; may be null
};

struct HttpReply {
  int status = 200;
  std::string body;
  std::vector<std::pair<std::string, std::string>>
      headers;  ///< beside Content-Type, Content-Length and Connection
  const char* content_type = "application/json";
};

/// Takes the answer to one request: one reply, or events and their end. Everything happens on the I/O thread
/// and nothing waits; what the client has not taken yet is queued. Its methods never call back into the
/// answer.
class Outlet {
 public:
  virtual ~Outlet() = default;
  virtual void reply(const HttpReply& reply) = 0;
  /// Sends the head of an event stream. What is sent in one turn of the I/O thread goes out together.
  virtual void begin_events() = 0;
  /// Sends one server-sent event; `data` has no line breaks.
  virtual void event(std::string_view data) = 0;
  virtual void end_events() = 0;
  /// Asks for the answer's wake() at this time; the last call counts, and none after the answer's end.
  virtual void wake_at(TimePoint at) = 0;
};

/// An answer that is still being made. The connection keeps it until the outlet got its end.
class Answer {
 public:
  virtual ~Answer() = default;
  /// The client has gone: ends the work within one engine step. The outlet is not called any more.
  virtual void abandon() = 0;
  /// The time of Outlet::wake_at() has come.
  virtual void wake() {}
};

}  // namespace tern
