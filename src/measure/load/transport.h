// How a load reaches a server: the one seam between what is asked when and the bytes on the wire.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>

#include "base/clock.h"
#include "measure/load/options.h"
#include "measure/load/requests.h"
#include "measure/load/stream_event.h"

namespace tern::load {

enum class Outcome {
  answered,  ///< a whole reply came
  refused,   ///< told to come later: 429 or 503, RESOURCE_EXHAUSTED or UNAVAILABLE
  failed,    ///< anything else
};

/// How a call ended.
struct CallEnd {
  TimePoint at;
  Outcome outcome = Outcome::failed;
  std::string why;     ///< of a failure; few different ones, so that they can be counted
  std::string finish;  ///< the finish_reason
  std::optional<TokenUsage> usage;
  std::optional<ServerWord> tern;
  std::optional<double> retry_after_s;  ///< of a refusal
  uint64_t bytes = 0;                   ///< received, framing and heads included; over gRPC computed
};

/// Told what a call brings, in order, on the I/O thread. Times are of the bytes' arrival. A call that its
/// deadline cut before anything came has no first byte.
class CallObserver {
 public:
  virtual ~CallObserver() = default;
  virtual void on_first_byte(TimePoint at) = 0;
  /// An event with text of the thinking or of the answer.
  virtual void on_text(TimePoint at, bool thinking) = 0;
  virtual void on_end(const CallEnd& end) = 0;  ///< exactly once, last
};

class Transport {
 public:
  virtual ~Transport() = default;
  /// The server's first model. Waits for it. Throws Error.
  virtual std::string first_model() = 0;
  /// Sends the request; never calls the observer before it returns. Throws Error{bad_input | unsupported}
  /// naming a field of the request that can't be sent this way; the observer is then never called.
  virtual void start(const LoadRequest& request, std::shared_ptr<CallObserver> observer) = 0;
  /// Ends every call, as failed for that reason, and every connection.
  virtual void abort_all(const std::string& why) = 0;
};

/// The transport for the server's URL: OpenAI's API for http, tern's own for grpc. Throws Error{bad_input |
/// unsupported} naming what is wrong with it, Error{io} for a host that can't be found.
std::unique_ptr<Transport> make_transport(boost::asio::io_context& io, const ServerOptions& options);

}  // namespace tern::load
