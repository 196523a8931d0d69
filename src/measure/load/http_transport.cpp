#include "measure/load/http_transport.h"

#include <algorithm>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

#include <fmt/format.h>

#include "base/error.h"
#include "text/bounded_json.h"

namespace tern::load {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr size_t kKeptBody = 64 << 10;  // of a reply that isn't a stream: enough for an error or the models
constexpr auto kWatchPause = std::chrono::milliseconds(100);

/// The observer of a call that nobody measures: keeps how it ended.
class KeepEnd : public CallObserver {
 public:
  void on_first_byte(TimePoint) override {}
  void on_text(TimePoint, bool) override {}
  void on_end(const CallEnd& ended) override { end = ended; }
  std::optional<CallEnd> end;
};

}  // namespace

/// One socket, one call at a time.
class HttpTransport::Connection : public std::enable_shared_from_this<Connection> {
 public:
  explicit Connection(HttpTransport& owner) : owner_(owner), socket_(owner.io_) {}

  /// `body`: where the body of a reply goes, for who wants it.
  void call(std::string bytes, std::shared_ptr<CallObserver> observer, std::string* body);
  void fail_call(const std::string& why) { end_call(Outcome::failed, why); }
  bool too_late(TimePoint now) const { return now >= deadline_; }
  void close() {
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  void connect();
  void write();
  void read();
  void on_read(error_code error, size_t size);
  void take(std::string_view bytes);
  void on_body(std::string_view bytes);
  void on_event(std::string_view data);
  void on_reply();
  void lost(const std::string& why);
  void end_call(Outcome outcome, const std::string& why);
  std::string reason_of_status() const;

  HttpTransport& owner_;
  tcp::socket socket_;
  std::array<char, 16 << 10> piece_;
  std::string request_;
  std::shared_ptr<CallObserver> observer_;  ///< null between calls
  std::string* wanted_body_ = nullptr;
  TimePoint deadline_, now_;  ///< now_: when the bytes at hand came
  bool reading_ = false, reused_ = false, got_bytes_ = false, written_ = false;
  HttpReader http_;
  SseReader sse_;
  bool stream_done_ = false;  ///< [DONE] came
  std::string stream_error_, kept_body_;
  CallEnd end_;
};

void HttpTransport::Connection::call(std::string bytes, std::shared_ptr<CallObserver> observer,
                                     std::string* body) {
  request_ = std::move(bytes);
  observer_ = std::move(observer);
  wanted_body_ = body;
  deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                 std::chrono::duration<double>(owner_.options_.timeout_s));
  got_bytes_ = stream_done_ = written_ = false;
  http_.reset();
  sse_ = {};
  stream_error_.clear();
  kept_body_.clear();
  end_ = {};
  reused_ = socket_.is_open();
  if (!reused_) return connect();
  write();
}

void HttpTransport::Connection::connect() {
  const auto self = shared_from_this();
  socket_.async_connect(owner_.endpoint_, [self](error_code error) {
    if (!self->observer_) return;
    if (error) return self->fail_call("can't connect: " + error.message());
    error_code ignored;
    self->socket_.set_option(tcp::no_delay(true), ignored);
    self->write();
  });
}

void HttpTransport::Connection::write() {
  asio::async_write(socket_, asio::buffer(request_), [self = shared_from_this()](error_code error, size_t) {
    // What a server says before it hangs up is read all the same.
    if (!error) self->written_ = true;
  });
  read();
}

void HttpTransport::Connection::read() {
  if (reading_) return;
  reading_ = true;
  socket_.async_read_some(asio::buffer(piece_), [self = shared_from_this()](error_code error, size_t size) {
    self->on_read(error, size);
  });
}

void HttpTransport::Connection::on_read(error_code error, size_t size) {
  reading_ = false;
  if (!observer_) {  // idle: the server hung up, or speaks without being asked
    close();
    std::erase(owner_.idle_, shared_from_this());
    return;
  }
  now_ = Clock::now();
  if (error) {
    if (error != asio::error::eof) return lost("connection lost: " + error.message());
    if (!got_bytes_) return lost("connection closed without a reply");
    try {
      http_.end();
    } catch (const Error& wrong) {
      return fail_call(wrong.what());
    }
    return on_reply();
  }
  if (!got_bytes_) {
    got_bytes_ = true;
    observer_->on_first_byte(now_);
  }
  end_.bytes += size;
  take({piece_.data(), size});
}

void HttpTransport::Connection::take(std::string_view bytes) {
  try {
    const size_t used = http_.feed(bytes, [this](std::string_view body) { on_body(body); });
    if (used < bytes.size()) fail(ErrorKind::bad_input, "bytes after the response's end");
  } catch (const Error& wrong) {
    return fail_call(wrong.what());
  }
  if (http_.done()) return on_reply();
  read();
}

void HttpTransport::Connection::on_body(std::string_view bytes) {
  if (http_.head().status == 200 && http_.head().event_stream) {
    return sse_.feed(bytes, [this](std::string_view data) { on_event(data); });
  }
  kept_body_ += bytes.substr(0, kKeptBody - std::min(kKeptBody, kept_body_.size()));
}

void HttpTransport::Connection::on_event(std::string_view data) {
  if (data == "[DONE]") {
    stream_done_ = true;
    return;
  }
  const StreamEvent event = read_event(data);
  if (event.thinking) observer_->on_text(now_, true);
  if (event.answer) observer_->on_text(now_, false);
  if (!event.finish.empty() && (end_.finish.empty() || end_.finish == "stop")) end_.finish = event.finish;
  if (event.usage) end_.usage = event.usage;
  if (event.tern) end_.tern = event.tern;
  if (event.error) stream_error_ = *event.error;
}

/// The whole response is here.
void HttpTransport::Connection::on_reply() {
  const int status = http_.head().status;
  if (status == 429 || status == 503) {
    end_.retry_after_s = http_.head().retry_after_s;
    return end_call(Outcome::refused, fmt::format("status {}", status));
  }
  if (wanted_body_) {
    *wanted_body_ = std::move(kept_body_);
    return end_call(status == 200 ? Outcome::answered : Outcome::failed, fmt::format("status {}", status));
  }
  if (status != 200) return fail_call(reason_of_status());
  if (!http_.head().event_stream) return fail_call("the reply is no event stream");
  if (!stream_error_.empty()) return fail_call("stream broken off: " + stream_error_);
  if (end_.finish.empty()) return fail_call("the stream ended without a finish_reason");
  if (!stream_done_) return fail_call("the stream ended without [DONE]");
  end_call(Outcome::answered, "");
}

std::string HttpTransport::Connection::reason_of_status() const {
  std::string reason = fmt::format("status {}", http_.head().status);
  try {
    const StreamEvent event = read_event(kept_body_);
    if (event.error && !event.error->empty()) reason += ": " + *event.error;
  } catch (const Error&) {  // not every server's errors are JSON; the status says enough
  }
  return reason;
}

/// The connection broke. One that was kept alive may have been closed by the server while the request was on
/// its way; that is no failure of the server's, and the request goes out once more.
void HttpTransport::Connection::lost(const std::string& why) {
  if (!reused_ || got_bytes_) return fail_call(why);
  close();
  reused_ = false;
  socket_ = tcp::socket(owner_.io_);
  connect();
}

void HttpTransport::Connection::end_call(Outcome outcome, const std::string& why) {
  const auto self = shared_from_this();
  const auto observer = std::exchange(observer_, nullptr);
  if (!observer) return;
  const bool keep = owner_.options_.keep_alive && outcome != Outcome::failed && http_.done() &&
                    http_.head().keep_alive && written_;
  owner_.busy_.erase(self);
  if (keep) {
    owner_.idle_.push_back(self);
    read();  // so that its end is seen
  } else {
    close();
  }
  end_.at = outcome == Outcome::failed ? Clock::now() : now_;
  end_.outcome = outcome;
  end_.why = why;
  observer->on_end(CallEnd(end_));  // a copy: the next call may begin in there
}

// ---- The transport

HttpTransport::HttpTransport(asio::io_context& io, const ServerOptions& options)
    : io_(io),
      options_(options),
      url_(parse_url(options.url)),
      endpoint_(resolve_host(io, url_)),
      watch_(io) {}

HttpTransport::~HttpTransport() {
  for (const auto& connection : idle_) connection->close();
  for (const auto& connection : busy_) connection->close();
}

void HttpTransport::start(const LoadRequest& request, std::shared_ptr<CallObserver> observer) {
  const std::string body =
      request.body.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::string bytes =
      fmt::format("POST {}/{} HTTP/1.1\r\nHost: {}:{}\r\nContent-Type: application/json\r\n", url_.path,
                  request.chat ? "chat/completions" : "completions", url_.host, url_.port);
  if (!options_.api_key.empty()) bytes += fmt::format("Authorization: Bearer {}\r\n", options_.api_key);
  if (!options_.keep_alive) bytes += "Connection: close\r\n";
  bytes += fmt::format("Accept: text/event-stream\r\nContent-Length: {}\r\n\r\n{}", body.size(), body);
  send(std::move(bytes), std::move(observer), nullptr);
}

void HttpTransport::send(std::string bytes, std::shared_ptr<CallObserver> observer, std::string* body) {
  std::shared_ptr<Connection> connection;
  if (idle_.empty()) {
    connection = std::make_shared<Connection>(*this);
  } else {
    connection = std::move(idle_.back());
    idle_.pop_back();
  }
  busy_.insert(connection);
  if (!watching_) watch();
  connection->call(std::move(bytes), std::move(observer), body);
}

/// Ends what takes too long. Runs while there are calls.
void HttpTransport::watch() {
  watching_ = !busy_.empty();
  if (!watching_) return;
  watch_.expires_after(kWatchPause);
  watch_.async_wait([this](error_code error) {
    if (error) return;
    const TimePoint now = Clock::now();
    std::vector<std::shared_ptr<Connection>> late;
    for (const auto& connection : busy_) {
      if (connection->too_late(now)) late.push_back(connection);
    }
    for (const auto& connection : late) connection->fail_call("timed out");
    watch();
  });
}

void HttpTransport::abort_all(const std::string& why) {
  while (!busy_.empty()) (*busy_.begin())->fail_call(why);
  for (const auto& connection : std::exchange(idle_, {})) connection->close();
  watch_.cancel();
}

std::string HttpTransport::first_model() {
  std::string bytes =
      fmt::format("GET {}/models HTTP/1.1\r\nHost: {}:{}\r\n", url_.path, url_.host, url_.port);
  if (!options_.api_key.empty()) bytes += fmt::format("Authorization: Bearer {}\r\n", options_.api_key);
  auto observer = std::make_shared<KeepEnd>();
  std::string body;
  send(bytes + "\r\n", observer, &body);
  while (!observer->end && io_.run_one() > 0) {
  }
  const std::string where = fmt::format("http://{}:{}{}/models", url_.host, url_.port, url_.path);
  if (!observer->end || observer->end->outcome != Outcome::answered)
    fail(ErrorKind::io, "{}: {}", where, observer->end ? observer->end->why : "no reply");
  const nlohmann::json json = parse_bounded_json(body, where);
  const auto first = nlohmann::json::json_pointer("/data/0/id");
  if (!json.contains(first) || !json[first].is_string())
    fail(ErrorKind::bad_input, "{}: expected a list of models; name one with --model", where);
  return json[first];
}

}  // namespace tern::load
