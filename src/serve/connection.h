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

#include "serve/service.h"

namespace tern {

class Connection;

/// What the connections of one server share.
struct Hub {
  boost::asio::io_context& io;
  const ServeOptions& options;
  Service& service;
  std::function<void()> on_closed;  ///< told when a connection has left `connections`
  bool draining = false;
  std::unordered_set<std::shared_ptr<Connection>> connections;
  std::vector<std::shared_ptr<Connection>>
      to_flush;  ///< that have something to write at the end of this turn
};

/// Lives on the I/O thread. Always reads, also while it answers, so that a client that leaves is noticed at
/// once (a client that only closes its sending side while an answer is being made counts as gone, too).
class Connection : public Outlet, public std::enable_shared_from_this<Connection> {
 public:
  Connection(boost::asio::ip::tcp::socket socket, Hub& hub);
  void start();
  /// Finishes the answer or the request under way, if there is one, then closes.
  void drain();
  /// Closes at once and abandons the answer.
  void abort();

  void reply(const HttpReply& reply) override;
  void begin_events() override;
  void event(std::string_view data) override;
  void end_events() override;
  void wake_at(TimePoint at) override;

 private:
  /// idle: between requests; receiving: part of one is here; answering: until its last byte is written;
  /// lingering: nothing more to say, the client may still read.
  enum class State { idle, receiving, answering, lingering, closed };
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  void read();
  void on_read(boost::system::error_code error, size_t size);
  void parse();
  void begin_request();
  void on_head();
  void on_request();
  HttpRequest take_request();
  void refuse_request(boost::system::error_code error);

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
  Hub& hub_;
  State state_ = State::idle;
  TimePoint started_ = Clock::now();  ///< the accept, then each request's first byte
  bool fresh_ = true;                 ///< no request yet: the time to send its head counts from the accept

  std::array<char, 16 << 10> piece_;      ///< where the socket's bytes land
  std::string inbox_;                     ///< bytes read and not parsed yet
  bool reading_ = false, ended_ = false;  ///< ended: the client has closed its sending side
  std::optional<Parser> parser_;
  bool head_seen_ = false;

  std::shared_ptr<Answer> answer_;  ///< while one is being made
  bool keep_alive_ = false, head_only_ = false, chunked_ = false;
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
