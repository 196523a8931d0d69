#include "serve/connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>

#include <charconv>
#include <ctime>

namespace tern {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

Connection::Connection(asio::ip::tcp::socket socket, Hub& hub)
    : socket_(std::move(socket)), timer_(hub.io), hub_(hub) {}

void Connection::start() {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::send_buffer_size(hub_.options.socket_buffer), ignored);
  socket_.non_blocking(true, ignored);
  set_deadline(started_ + hub_.options.header_timeout);
  read();
}

void Connection::drain() {
  if (state_ == State::idle && inbox_.empty()) return abort();
  keep_alive_ = false;
}

void Connection::abort() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  const auto self = shared_from_this();
  if (const auto answer = std::exchange(answer_, nullptr)) answer->abandon();
  timer_.cancel();
  wake_.reset();
  error_code ignored;
  socket_.close(ignored);
  hub_.connections.erase(self);
  hub_.on_closed();
}

// ---- Reading

void Connection::read() {
  // A client that sends its next requests early waits when a buffer full of them is here.
  const bool full = inbox_.size() >= hub_.options.header_limit && state_ != State::receiving;
  if (reading_ || ended_ || full || state_ == State::closed) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(piece_), [self = shared_from_this()](error_code error, size_t size) {
    self->on_read(error, size);
  });
}

void Connection::on_read(error_code error, size_t size) {
  reading_ = false;
  if (state_ == State::closed) return;
  if (error) {
    ended_ = true;
    // A plain reply that is on its way may still be read; everything else has lost its reader.
    const bool reply_under_way = error == asio::error::eof && state_ == State::answering && !answer_;
    if (!reply_under_way) return abort();
    keep_alive_ = false;
    return;
  }
  if (state_ != State::lingering) inbox_.append(piece_.data(), size);
  parse();
  read();
}

/// Feeds the parser until the bytes are used up or a whole request is here.
void Connection::parse() {
  while (!inbox_.empty() && (state_ == State::idle || state_ == State::receiving)) {
    if (state_ == State::idle) begin_request();
    error_code error;
    const size_t used = parser_->put(asio::buffer(inbox_), error);
    inbox_.erase(0, used);
    if (error && error != http::error::need_more) return refuse_request(error);
    if (parser_->is_header_done() && !head_seen_) on_head();
    if (parser_->is_done()) return on_request();
    // What the parser can't use yet is one line or one chunk's head: nothing honest is as long as a whole
    // head.
    if (inbox_.size() > hub_.options.header_limit) return refuse_request(http::error::header_limit);
    if (used == 0) return;
  }
}

void Connection::begin_request() {
  state_ = State::receiving;
  if (!fresh_) started_ = Clock::now();
  fresh_ = false;
  set_deadline(started_ + hub_.options.header_timeout);
  parser_.emplace();
  parser_->eager(true);
  parser_->header_limit(static_cast<uint32_t>(hub_.options.header_limit));
  parser_->body_limit(hub_.options.body_limit);
  head_seen_ = false;
  keep_alive_ = head_only_ = chunked_ = answer_ended_ = false;
}

void Connection::on_head() {
  head_seen_ = true;
  set_deadline(Clock::now() + hub_.options.body_timeout);
  const bool asks = boost::beast::iequals(parser_->get()[http::field::expect], "100-continue");
  if (asks && !parser_->is_done()) send("HTTP/1.1 100 Continue\r\n\r\n");
}

/// The whole request is here.
void Connection::on_request() {
  state_ = State::answering;
  set_deadline(TimePoint::max());
  const auto& message = parser_->get();
  keep_alive_ = message.keep_alive() && !hub_.draining;
  chunked_ = message.version() >= 11;
  head_only_ = message.method() == http::verb::head;
  const size_t hosts = message.count(http::field::host);
  if (hosts > 1 || (hosts == 0 && message.version() >= 11)) {
    return reply(error_reply(ApiError(400, "The request must have one Host header.")));
  }
  answer_ = hub_.service.answer(take_request(), shared_from_this());
}

HttpRequest Connection::take_request() {
  auto& message = parser_->get();
  HttpRequest request;
  request.method = message.method_string();
  const std::string_view target(message.target().data(), message.target().size());
  request.path = target.substr(0, target.find('?'));
  request.host = message[http::field::host];
  request.origin = message[http::field::origin];
  request.deadline_ms = message["X-Tern-Deadline-Ms"];
  request.body = std::move(message.body());
  request.arrived = started_;
  parser_.reset();
  return request;
}

/// Bytes that are no request tern takes: one reply, then the connection ends, for nobody knows where the next
/// begins.
void Connection::refuse_request(error_code error) {
  state_ = State::answering;
  keep_alive_ = false;
  inbox_.clear();
  if (error == http::error::header_limit) {
    return reply(error_reply(ApiError(
        431, fmt::format("The request's head is longer than {} bytes.", hub_.options.header_limit))));
  }
  if (error == http::error::body_limit) {
    return reply(error_reply(
        ApiError(413, fmt::format("The request's body is longer than {} bytes.", hub_.options.body_limit))));
  }
  reply(error_reply(ApiError(400, fmt::format("This is no HTTP request: {}.", error.message()))));
}

// ---- Answering

std::string Connection::head(int status, std::string_view headers) const {
  char date[64];
  const std::time_t now = std::time(nullptr);
  std::tm parts;
  std::strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  return fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\nConnection: {}\r\n{}\r\n", status,
                     std::string_view(reason.data(), reason.size()), date,
                     keep_alive_ ? "keep-alive" : "close", headers);
}

void Connection::reply(const HttpReply& reply) {
  if (hub_.draining) keep_alive_ = false;
  std::string headers =
      fmt::format("Content-Type: {}\r\nContent-Length: {}\r\n", reply.content_type, reply.body.size());
  for (const auto& [name, value] : reply.headers) headers += fmt::format("{}: {}\r\n", name, value);
  end_answer();
  send(head(reply.status, headers));
  if (!head_only_) send(reply.body);
}

void Connection::begin_events() {
  if (hub_.draining) keep_alive_ = false;
  if (!chunked_) keep_alive_ = false;
  send(head(200, fmt::format("Content-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
                             "X-Accel-Buffering: no\r\n{}",
                             chunked_ ? "Transfer-Encoding: chunked\r\n" : "")));
}

void Connection::event(std::string_view data) {
  if (!may_send()) return;
  constexpr std::string_view kBefore = "data: ", kAfter = "\n\n";
  if (chunked_) {
    char size[2 * sizeof(size_t)];
    const size_t chunk = kBefore.size() + data.size() + kAfter.size();
    outbox_.append(size, std::to_chars(size, std::end(size), chunk, 16).ptr).append("\r\n");
  }
  outbox_.append(kBefore).append(data).append(kAfter);
  if (chunked_) outbox_ += "\r\n";
  send_soon();
}

void Connection::end_events() {
  end_answer();
  send(chunked_ ? "0\r\n\r\n" : "");
}

void Connection::wake_at(TimePoint at) {
  if (!wake_) wake_.emplace(hub_.io);
  wake_->expires_at(at);
  wake_->async_wait([self = shared_from_this()](error_code error) {
    if (const auto answer = self->answer_; answer && !error) answer->wake();
  });
}

/// The last bytes of an answer are about to be queued.
void Connection::end_answer() {
  answer_ = nullptr;
  answer_ended_ = true;
  wake_.reset();
}

/// Whether there is still room for what is sent next.
bool Connection::may_send() {
  if (state_ == State::closed || overflowed_) return false;
  if (outbox_.size() + writing_.size() <= hub_.options.unsent_limit) return true;
  overflowed_ = true;
  // Posted, because the answer is in the middle of giving us an event.
  asio::post(hub_.io, [self = shared_from_this()] { self->abort(); });
  return false;
}

void Connection::send(std::string_view bytes) {
  if (!may_send()) return;
  outbox_ += bytes;
  send_soon();
}

/// At the end of this turn, so that all that it brings costs one write.
void Connection::send_soon() {
  if (flushing_) return;
  flushing_ = true;
  hub_.to_flush.push_back(shared_from_this());
  if (hub_.to_flush.size() == 1) asio::post(hub_.io, [&hub = hub_] { flush_all(hub); });
}

void Connection::flush_all(Hub& hub) {
  const auto connections = std::exchange(hub.to_flush, {});
  for (const auto& connection : connections) {
    connection->flushing_ = false;
    connection->write();
  }
}

/// What the socket has room for goes at once; for the rest it is waited.
void Connection::write() {
  if (state_ == State::closed || !writing_.empty()) return;
  if (outbox_.empty()) return on_written({});
  writing_.swap(outbox_);
  error_code error;
  const size_t sent = socket_.write_some(asio::buffer(writing_), error);
  if (error == asio::error::would_block) error = {};
  if (error || sent == writing_.size()) return on_written(error);
  if (state_ == State::answering) set_deadline(Clock::now() + hub_.options.write_timeout);
  asio::async_write(socket_, asio::buffer(writing_) + sent,
                    [self = shared_from_this()](error_code failed, size_t) { self->on_written(failed); });
}

void Connection::on_written(error_code error) {
  if (state_ == State::closed) return;
  if (error) return abort();
  constexpr size_t kKept = 16 << 10;  // a long reply's memory is given back
  writing_.clear();
  if (writing_.capacity() > kKept) writing_.shrink_to_fit();
  if (!outbox_.empty()) return write();
  if (state_ != State::answering) return;
  if (!answer_ended_) return set_deadline(TimePoint::max());
  if (keep_alive_ && !hub_.draining) return next_request();
  linger();
}

void Connection::next_request() {
  state_ = State::idle;
  answer_ended_ = false;
  set_deadline(Clock::now() + hub_.options.idle_timeout);
  parse();
  read();
}

/// Closing while bytes of the client are unread would reset the connection and lose the reply it has not read
/// yet.
void Connection::linger() {
  if (ended_) return abort();
  state_ = State::lingering;
  inbox_.clear();
  error_code ignored;
  socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
  set_deadline(Clock::now() + hub_.options.linger);
  read();
}

// ---- Time

/// One timer for all: setting a later deadline costs nothing, the timer looks again when it fires.
void Connection::set_deadline(TimePoint deadline) {
  deadline_ = deadline;
  const bool soon_enough = waiting_ && timer_.expiry() <= deadline;
  if (!soon_enough && deadline != TimePoint::max()) wait();
}

void Connection::wait() {
  waiting_ = true;
  timer_.expires_at(deadline_);
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (error || self->state_ == State::closed) return;
    self->waiting_ = false;
    self->on_deadline();
  });
}

void Connection::on_deadline() {
  if (deadline_ == TimePoint::max()) return;
  if (Clock::now() < deadline_) return wait();
  if (state_ != State::receiving) return abort();
  state_ = State::answering;
  keep_alive_ = false;
  reply(error_reply(ApiError(408, "The request took too long to arrive.")));
}

}  // namespace tern
