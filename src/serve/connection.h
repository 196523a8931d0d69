// One client's connection: requests in, replies and events out, one answer at a time.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "serve/head_rules.h"
#include "serve/request_meter.h"
#include "serve/service.h"

namespace tern {

class Connection;

/// What the connections of one server share.
struct Hub {
  boost::asio::io_context& io;
  const ServeOptions& options;
  Service& service;
  std::function<void(const Address& peer)> on_closed;  ///< told when a connection has left `connections`
  bool draining = false;
  size_t arriving = 0;  ///< bytes of bodies that are not whole yet
  std::unordered_set<std::shared_ptr<Connection>> connections;
  std::vector<std::shared_ptr<Connection>>
      to_flush;  ///< that have something to write at the end of this turn
  /// Where any socket's bytes land until its connection has taken them. One for all: most connections wait,
  /// and a buffer each would be most of their memory.
  std::array<char, 16 << 10> piece{};
};

/// Lives on the I/O thread. Always reads, also while it answers, so that a client that leaves is noticed at
/// once (a client that only closes its sending side while an answer is being made counts as gone, too).
class Connection : public Outlet, public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::ip::tcp::socket socket, const Address& peer, Hub& hub);
  void start();
  /// Says why it won't be served, then closes.
  void turn_away(const ApiError& error);
  /// Finishes the answer or the request under way, if there is one, then closes.
  void drain();
  /// Closes at once and abandons the answer.
  void abort();
  /// Since when it waits for the client's next request; nothing while there is something to do.
  std::optional<TimePoint> idle_since() const;

  void reply(const HttpReply& reply) override;
  void begin_events() override;
  void event(std::string_view data) override;
  void end_events() override;
  void wake_at(TimePoint at) override;

 private:
  /// idle: between requests; receiving: part of one is here; answering: until its last byte is written;
  /// lingering: nothing more to say, the client may still read.
  enum class State { idle, receiving, answering, lingering, closed };
  using Fields = boost::beast::http::request_header<>;
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  void read();
  void on_readable(boost::system::error_code error);
  void parse();
  void begin_request();
  bool parse_head();
  void parse_body();
  void on_head();
  void on_request();
  HttpRequest read_head(const Fields& fields) const;
  void hold(size_t bytes);
  void refuse_request(const ApiError& error);
  ApiError as_api_error(boost::system::error_code error) const;
  std::shared_ptr<RequestMeter> new_meter(const HttpRequest& request, std::string_view traceparent);
  void end_request(bool client_left);

  std::string head(int status, std::string_view headers) const;
  bool may_send();
  void send_soon();
  void send(std::string_view bytes);
  static void flush_all(Hub& hub);
  void write();
  void on_written(boost::system::error_code error);
  void end_answer();
  void next_request();
  void linger();

  void set_deadline(TimePoint deadline);
  void wait();
  void on_deadline();

  boost::asio::ip::tcp::socket socket_;
  boost::asio::steady_timer timer_;
  const Address peer_;
  Hub& hub_;
  State state_ = State::idle;
  TimePoint started_ = Clock::now();  ///< the accept, then each request's first byte
  TimePoint idle_since_ = started_;
  TimePoint head_at_;  ///< when the head was whole
  bool fresh_ = true;  ///< no request yet: the time to send its head counts from the accept

  std::string inbox_;                     ///< bytes read and not parsed yet
  bool reading_ = false, ended_ = false;  ///< ended: the client has closed its sending side
  std::optional<Parser> parser_;
  size_t raw_ = 0;                      ///< bytes of the body as they came, chunks' heads and all
  size_t held_ = 0;                     ///< its part of Hub::arriving
  std::optional<HttpRequest> request_;  ///< all but the body, from when the head is whole

  std::shared_ptr<Answer> answer_;       ///< while one is being made
  std::shared_ptr<RequestMeter> meter_;  ///< of the request that is answered
  std::string request_id_;               ///< X-Request-Id of the request, given back with the answer
  int status_ = 0;                       ///< of the answer, once it has begun
  uint64_t sent_ = 0;                    ///< bytes of it
  bool keep_alive_ = false, head_only_ = false, chunked_ = false;
  std::string cors_headers_;                       ///< for the page that asks
  std::optional<boost::asio::steady_timer> wake_;  ///< the answer's own

  std::string outbox_;         ///< to be written, all that comes in one turn at once
  std::string writing_;        ///< being written
  bool flushing_ = false;      ///< in the hub's list
  bool answer_ended_ = false;  ///< all of the reply is in the outbox
  bool overflowed_ = false;

  TimePoint deadline_ = TimePoint::max();
  bool waiting_ = false;
};

}  // namespace tern
