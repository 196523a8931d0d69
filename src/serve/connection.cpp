#include "serve/connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/field.hpp>
#include <boost/beast/http/status.hpp>
#include <boost/beast/http/verb.hpp>

#include <netinet/tcp.h>

#include <algorithm>
#include <charconv>
#include <ctime>

namespace tern {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;

namespace {

/// A body may come in small chunks; one that is mostly chunks' heads is an attack on our time.
constexpr size_t kWireBytesPerByte = 8;

/// All values of a field as one list.
std::string joined(const http::fields& fields, std::string_view name) {
  std::string all;
  const auto range = fields.equal_range({name.data(), name.size()});
  for (auto at = range.first; at != range.second; ++at) {
    if (!all.empty()) all += ",";
    all += at->value();
  }
  return all;
}

/// A peer that vanishes without a word (cable, power, a forgetful router) is noticed within a minute while
/// nothing is sent, and after the write timeout while something is.
void notice_dead_peers(int socket, std::chrono::milliseconds write_timeout) {
  const auto set = [socket](int level, int option, int value) {
    setsockopt(socket, level, option, &value, sizeof(value));
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 30);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(write_timeout.count()));
}

/// A client's id for a request as it may stand in headers and logs; nothing where it may not.
std::string usable_id(std::string_view id) {
  constexpr size_t kLongest = 128;
  const bool usable =
      id.size() <= kLongest && std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c <= '~'; });
  return std::string(usable ? id : "");
}

}  // namespace

Connection::Connection(asio::ip::tcp::socket socket, const Address& peer, Hub& hub)
    : socket_(std::move(socket)), timer_(hub.io), peer_(peer), hub_(hub) {
  error_code ignored;
  socket_.non_blocking(true, ignored);  // also of who is turned away: no peer may hold the I/O thread
}

void Connection::start() {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
  socket_.set_option(asio::socket_base::send_buffer_size(hub_.options.socket_buffer), ignored);
  notice_dead_peers(socket_.native_handle(), hub_.options.write_timeout);
  set_deadline(started_ + (hub_.draining ? hub_.options.linger : hub_.options.header_timeout));
  read();
}

void Connection::turn_away(const ApiError& error) {
  refuse_request(error);
}

/// A request that is on its way, or that a client which has just connected is about to send, is still
/// answered (with 503); a closed connection would lose it without a word.
void Connection::drain() {
  keep_alive_ = false;
  if (state_ != State::idle || !inbox_.empty()) return;
  error_code error;
  if (fresh_ || socket_.available(error) > 0) return set_deadline(Clock::now() + hub_.options.linger);
  abort();
}

std::optional<TimePoint> Connection::idle_since() const {
  if (state_ != State::idle || fresh_ || !inbox_.empty()) return std::nullopt;
  return idle_since_;
}

void Connection::abort() {
  if (state_ == State::closed) return;
  state_ = State::closed;
  const auto self = shared_from_this();
  if (const auto answer = std::exchange(answer_, nullptr)) answer->abandon();
  end_request(true);
  timer_.cancel();
  wake_.reset();
  hold(0);
  error_code ignored;
  socket_.close(ignored);
  hub_.connections.erase(self);
  hub_.on_closed(peer_);
}

// ---- Reading

void Connection::read() {
  // A client that sends its next requests early waits when a buffer full of them is here.
  const bool full = inbox_.size() >= hub_.options.header_limit && state_ != State::receiving;
  if (reading_ || ended_ || full || state_ == State::closed) return;
  reading_ = true;
  socket_.async_wait(asio::ip::tcp::socket::wait_read,
                     [self = shared_from_this()](error_code error) { self->on_readable(error); });
}

void Connection::on_readable(error_code error) {
  reading_ = false;
  if (state_ == State::closed) return;
  const size_t size = error ? 0 : socket_.read_some(asio::buffer(hub_.piece), error);
  if (error == asio::error::would_block) return read();
  if (error) {
    ended_ = true;
    // A plain reply that is on its way may still be read; everything else has lost its reader.
    const bool reply_under_way = error == asio::error::eof && state_ == State::answering && !answer_;
    if (!reply_under_way) return abort();
    keep_alive_ = false;
    return;
  }
  if (state_ != State::lingering) inbox_.append(hub_.piece.data(), size);
  parse();
  read();
}

/// Feeds the parser until the bytes are used up or a whole request is here.
void Connection::parse() {
  while (!inbox_.empty() && (state_ == State::idle || state_ == State::receiving)) {
    if (state_ == State::idle) begin_request();
    if (request_) return parse_body();
    if (!parse_head()) return;
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
  request_.reset();
  cors_headers_.clear();
  raw_ = 0;
  keep_alive_ = head_only_ = chunked_ = answer_ended_ = false;
  request_id_.clear();
  status_ = 0;
  sent_ = 0;
}

/// False where more bytes are needed, or none.
bool Connection::parse_head() {
  const size_t end = inbox_.find("\r\n\r\n");
  const bool whole = end != std::string::npos;
  const size_t size = whole ? end + 4 : inbox_.size();
  if (size > hub_.options.header_limit) {
    refuse_request(as_api_error(http::error::header_limit));
    return false;
  }
  if (const auto wrong = bad_head_bytes(std::string_view(inbox_).substr(0, size), whole)) {
    refuse_request(*wrong);
    return false;
  }
  if (!whole) return false;
  // Only the head is given, so that no trailer behind the body gets among its fields unseen.
  error_code error;
  parser_->put(asio::buffer(inbox_.data(), size), error);
  inbox_.erase(0, size);
  if (error && error != http::error::need_more) {
    refuse_request(as_api_error(error));
    return false;
  }
  on_head();
  return state_ == State::receiving;
}

void Connection::on_head() {
  const auto& message = parser_->get();
  if (const auto wrong = bad_head(message)) return refuse_request(*wrong);
  head_at_ = Clock::now();
  set_deadline(head_at_ + hub_.options.body_timeout);
  request_ = read_head(message);
  request_id_ = usable_id(message["X-Request-Id"]);
  // Two of them are as none (W3C Trace Context, section 3.2).
  request_->meter = meter_ =
      new_meter(*request_, message.count("traceparent") == 1 ? message["traceparent"] : "");
  keep_alive_ = message.keep_alive() && !hub_.draining;
  chunked_ = message.version() >= 11;
  head_only_ = message.method() == http::verb::head;
  cors_headers_ = hub_.service.cors_headers(*request_);
  if (parser_->is_done()) return on_request();
  if (hub_.service.refuses(*request_)) {
    // Its body isn't waited for, so nobody knows where the next request begins.
    keep_alive_ = false;
    return on_request();
  }
  if (boost::beast::iequals(message[http::field::expect], "100-continue")) {
    send("HTTP/1.1 100 Continue\r\n\r\n");
  }
}

HttpRequest Connection::read_head(const Fields& fields) const {
  HttpRequest request;
  request.method = fields.method_string();
  const std::string_view target(fields.target().data(), fields.target().size());
  request.path = target.substr(0, target.find('?'));
  request.host = fields[http::field::host];
  request.origin = fields[http::field::origin];
  request.deadline_ms = fields["X-Tern-Deadline-Ms"];
  if (fields.count(http::field::authorization) == 1)
    request.authorization = fields[http::field::authorization];
  request.accept_encoding = fields[http::field::accept_encoding];
  request.if_none_match = fields[http::field::if_none_match];
  request.preflight = fields[http::field::access_control_request_method];
  request.client = hub_.service.client_of(peer_, joined(fields, "X-Forwarded-For"));
  request.arrived = started_;
  return request;
}

void Connection::parse_body() {
  while (!inbox_.empty() && state_ == State::receiving) {
    error_code error;
    const size_t used = parser_->put(asio::buffer(inbox_), error);
    inbox_.erase(0, used);
    raw_ += used;
    if (error && error != http::error::need_more) return refuse_request(as_api_error(error));
    if (parser_->is_done()) return on_request();
    // What the parser can't use yet is one chunk's head or trailers: nothing honest is as long as a whole
    // head.
    if (inbox_.size() > hub_.options.header_limit)
      return refuse_request(as_api_error(http::error::header_limit));
    if (raw_ > kWireBytesPerByte * hub_.options.body_limit + hub_.options.header_limit)
      return refuse_request(as_api_error(http::error::body_limit));
    if (used == 0) break;
  }
  const size_t here = parser_->get().body().size();
  hold(here + inbox_.size());
  if (hub_.arriving > hub_.options.bodies_limit) {
    return refuse_request(ApiError(503, "Too many bytes of requests are on their way.").retry_after(1));
  }
  // Who sends steadily may take longer; who drips is cut.
  set_deadline(head_at_ + hub_.options.body_timeout +
               std::chrono::milliseconds(here * 1000 / hub_.options.body_rate));
}

/// Bytes of a body that wait here for the rest of it.
void Connection::hold(size_t bytes) {
  hub_.arriving += bytes - held_;
  held_ = bytes;
}

/// The whole request is here, or as much of it as is needed.
void Connection::on_request() {
  state_ = State::answering;
  set_deadline(TimePoint::max());
  hold(0);
  HttpRequest request = *std::exchange(request_, std::nullopt);
  request.body = std::move(parser_->get().body());
  parser_.reset();
  answer_ = hub_.service.answer(std::move(request), shared_from_this());
}

std::shared_ptr<RequestMeter> Connection::new_meter(const HttpRequest& request,
                                                    std::string_view traceparent) {
  return std::make_shared<RequestMeter>(
      hub_.service.telemetry(),
      RequestMeter::Head{request.method, request.path, std::string(traceparent), request_id_, started_});
}

void Connection::end_request(bool client_left) {
  if (meter_) meter_->end(status_ > 0 ? status_ : RequestMeter::kClosedByClient, sent_, client_left);
  meter_.reset();
}

/// Bytes that are no request tern takes: one reply, then the connection ends, for nobody knows where the next
/// begins.
void Connection::refuse_request(const ApiError& error) {
  state_ = State::answering;
  keep_alive_ = false;
  hold(0);
  inbox_.clear();
  reply(error_reply(error));
}

ApiError Connection::as_api_error(error_code error) const {
  if (error == http::error::header_limit) {
    return ApiError(431,
                    fmt::format("The request's head is longer than {} bytes.", hub_.options.header_limit));
  }
  if (error == http::error::body_limit) {
    return ApiError(413, fmt::format("The request's body is longer than {} bytes.", hub_.options.body_limit));
  }
  return ApiError(400, fmt::format("This is no HTTP request: {}.", error.message()));
}

// ---- Answering

std::string Connection::head(int status, std::string_view headers) const {
  char date[64];
  const std::time_t now = std::time(nullptr);
  std::tm parts;
  std::strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&now, &parts));
  const auto reason = http::obsolete_reason(static_cast<http::status>(status));
  const std::string id = request_id_.empty() ? "" : fmt::format("X-Request-Id: {}\r\n", request_id_);
  return fmt::format(
      "HTTP/1.1 {} {}\r\nDate: {}\r\nConnection: {}\r\nX-Content-Type-Options: nosniff\r\n{}{}{}\r\n", status,
      std::string_view(reason.data(), reason.size()), date, keep_alive_ ? "keep-alive" : "close",
      cors_headers_, id, headers);
}

void Connection::reply(const HttpReply& reply) {
  if (hub_.draining) keep_alive_ = false;
  if (!meter_) meter_ = new_meter({}, "");  // of bytes that are no request
  status_ = reply.status;
  // 204 has no body; 304 has none either, and a length there would be that of the one it stands for (RFC
  // 9110, 8.6).
  std::string headers;
  if (reply.status != 204) headers += fmt::format("Content-Type: {}\r\n", reply.content_type);
  if (reply.status != 204 && reply.status != 304)
    headers += fmt::format("Content-Length: {}\r\n", reply.body.size());
  for (const auto& [name, value] : reply.headers) headers += fmt::format("{}: {}\r\n", name, value);
  end_answer();
  send(head(reply.status, headers));
  if (!head_only_) send(reply.body);
}

void Connection::begin_events() {
  status_ = 200;
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
  sent_ += writing_.size();
  writing_.clear();
  if (writing_.capacity() > kKept) writing_.shrink_to_fit();
  if (!outbox_.empty()) return write();
  if (state_ != State::answering) return;
  if (!answer_ended_) return set_deadline(TimePoint::max());
  end_request(false);
  if (keep_alive_ && !hub_.draining) return next_request();
  linger();
}

void Connection::next_request() {
  state_ = State::idle;
  idle_since_ = Clock::now();
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
  refuse_request(ApiError(408, "The request took too long to arrive."));
}

}  // namespace tern
