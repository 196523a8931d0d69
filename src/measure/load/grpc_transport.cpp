#include "measure/load/grpc_transport.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <iterator>
#include <utility>

#include <boost/asio/post.hpp>

#include <fmt/format.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/async_stream.h>

#include "base/error.h"
#include "base/threads.h"
#include "measure/load/grpc_request.h"

namespace tern::load {

namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

constexpr auto kWatchPause = 100ms;
constexpr int kCallsPerConnection = 500;  // tern takes 1,024, other servers often 100 times fewer than that
constexpr uint64_t kMessageHead = 5;      // gRPC over HTTP/2: a flag and a length
constexpr uint64_t kFrameHead = 9;        // RFC 9113, section 4.1

/// "status UNAVAILABLE: what the server says", few different ones.
std::string words_of(const grpc::Status& status) {
  static constexpr const char* kNames[] = {
      "OK",        "CANCELLED",      "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
      "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
      "ABORTED",   "OUT_OF_RANGE",   "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
      "DATA_LOSS", "UNAUTHENTICATED"};
  constexpr size_t kMostMessage = 200;
  const auto code = static_cast<size_t>(status.error_code());
  const std::string name = code < std::size(kNames) ? kNames[code] : std::to_string(code);
  if (status.error_message().empty()) return "status " + name;
  return fmt::format("status {}: {}", name, status.error_message().substr(0, kMostMessage));
}

/// The trailer retry-after-ms.
std::optional<double> retry_after_s(const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto found = trailers.find("retry-after-ms");
  if (found == trailers.end()) return std::nullopt;
  const grpc::string_ref text = found->second;
  uint32_t ms = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), ms);
  if (error != std::errc{} || at != text.data() + text.size()) return std::nullopt;
  return ms / 1e3;
}

void authorize(grpc::ClientContext& context, const std::string& api_key) {
  if (!api_key.empty()) context.AddMetadata("authorization", "Bearer " + api_key);
}

/// Of a channel: a connection of its own, straight to the server, each call sent once.
grpc::ChannelArguments channel_arguments(const ServerUrl& url) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetString(GRPC_ARG_DEFAULT_AUTHORITY, fmt::format("{}:{}", url.host, url.port));
  return arguments;
}

}  // namespace

// ---- A call

/// Has one operation with gRPC at a time, itself its tag. What is read is gRPC's thread's until the note of
/// its end; the observer is the I/O thread's.
class GrpcTransport::Call : public std::enable_shared_from_this<Call> {
 public:
  Call(GrpcTransport& owner, std::shared_ptr<Connection> connection, std::shared_ptr<CallObserver> observer)
      : owner_(owner), connection_(std::move(connection)), observer_(std::move(observer)) {
    ++connection_->calls;
  }

  // On the I/O thread.
  void start(const v1::GenerateRequest& request, std::optional<int> deadline_ms);
  void take(const Note& note);
  void fail_call(const std::string& why);
  bool too_late(TimePoint now) const { return now >= timeout_; }
  void cancel() { context_.TryCancel(); }

  // On gRPC's.
  void on_done(bool ok, TimePoint now);

 private:
  enum class At : uint8_t { sending, head, event, status };
  void read_next();
  void finish();
  void take_event(TimePoint now);
  void take_status(TimePoint now);
  bool refused() const;
  void end_call(const CallEnd& end);

  GrpcTransport& owner_;
  const std::shared_ptr<Connection> connection_;
  std::shared_ptr<CallObserver> observer_;  ///< null once it was told the end
  TimePoint timeout_;
  std::shared_ptr<Call> self_;  ///< while gRPC has it
  bool has_deadline_ = false;

  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReader<v1::GenerateEvent>> stream_;
  At at_ = At::sending;
  v1::GenerateEvent event_;
  grpc::Status status_;
  CallEnd end_;
};

void GrpcTransport::Call::start(const v1::GenerateRequest& request, std::optional<int> deadline_ms) {
  timeout_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                std::chrono::duration<double>(owner_.options_.timeout_s));
  has_deadline_ = deadline_ms.has_value();
  if (deadline_ms) context_.set_deadline(std::chrono::system_clock::now() + *deadline_ms * 1ms);
  authorize(context_, owner_.options_.api_key);
  self_ = shared_from_this();
  stream_ = connection_->stub->PrepareAsyncGenerate(&context_, request, &owner_.queue_);
  stream_->StartCall(this);
}

void GrpcTransport::Call::on_done(bool ok, TimePoint now) {
  if (at_ == At::status) return take_status(now);
  if (!ok) return finish();
  switch (at_) {
    case At::sending:
      at_ = At::head;
      return stream_->ReadInitialMetadata(this);
    case At::head:
      owner_.post({shared_from_this(), now, Note::What::head});
      return read_next();
    default:
      take_event(now);
      return read_next();
  }
}

void GrpcTransport::Call::read_next() {
  at_ = At::event;
  stream_->Read(&event_, this);
}

void GrpcTransport::Call::finish() {
  at_ = At::status;
  stream_->Finish(&status_, this);
}

void GrpcTransport::Call::take_event(TimePoint now) {
  end_.bytes += event_.ByteSizeLong() + kMessageHead + kFrameHead;
  if (event_.has_finish()) {
    const v1::Finish& finish = event_.finish();
    if (finish.reason() == v1::FINISH_REASON_STOP) end_.finish = "stop";
    if (finish.reason() == v1::FINISH_REASON_LENGTH) end_.finish = "length";
    const auto count = [](int32_t tokens) { return static_cast<uint64_t>(std::max(tokens, 0)); };
    end_.usage = {count(finish.usage().prompt_tokens()), count(finish.usage().completion_tokens()),
                  count(finish.usage().reasoning_tokens())};
    if (finish.has_on_time()) end_.tern = {finish.promised(), finish.on_time()};
  }
  const bool thinking = !event_.thinking().empty(), answer = !event_.text().empty();
  if (thinking || answer) owner_.post({shared_from_this(), now, Note::What::event, thinking, answer});
}

void GrpcTransport::Call::take_status(TimePoint now) {
  end_.at = now;
  const grpc::StatusCode code = status_.error_code();
  if (status_.ok() && !end_.finish.empty()) {
    end_.outcome = Outcome::answered;
  } else if (status_.ok()) {
    end_.why = "the stream ended without a finish";
  } else if (code == grpc::StatusCode::DEADLINE_EXCEEDED && has_deadline_) {
    end_.outcome = Outcome::answered;  // as far as it came
    if (end_.finish.empty()) end_.finish = "length";
  } else {
    end_.why = words_of(status_);
    if (refused()) {
      end_.outcome = Outcome::refused;
      end_.retry_after_s = retry_after_s(context_);
    }
  }
  owner_.post({std::move(self_), now, Note::What::end});
}

/// Told to come later. gRPC gives lost connections the same status, but not tern's trailer.
bool GrpcTransport::Call::refused() const {
  const grpc::StatusCode code = status_.error_code();
  const bool later = code == grpc::StatusCode::RESOURCE_EXHAUSTED || code == grpc::StatusCode::UNAVAILABLE;
  return later && context_.GetServerTrailingMetadata().contains("tern-error-code");
}

void GrpcTransport::Call::take(const Note& note) {
  if (note.what == Note::What::end) {
    --connection_->calls;
    return end_call(end_);
  }
  if (!observer_) return;
  if (note.what == Note::What::head) return observer_->on_first_byte(note.at);
  if (note.thinking) observer_->on_text(note.at, true);
  if (note.answer && observer_) observer_->on_text(note.at, false);
}

void GrpcTransport::Call::fail_call(const std::string& why) {
  cancel();
  CallEnd end;
  end.at = Clock::now();
  end.why = why;
  end_call(end);
}

void GrpcTransport::Call::end_call(const CallEnd& end) {
  const auto self = shared_from_this();
  const auto observer = std::exchange(observer_, nullptr);
  if (!observer) return;
  owner_.busy_.erase(self);
  observer->on_end(end);
}

// ---- The transport

GrpcTransport::GrpcTransport(asio::io_context& io, const ServerOptions& options)
    : io_(io),
      options_(options),
      url_(parse_url(options.url)),
      endpoint_(resolve_host(io, url_)),
      watch_(io),
      reader_([this] { read(); }) {}

GrpcTransport::~GrpcTransport() {
  for (const auto& call : busy_) call->cancel();
  {
    std::unique_lock lock(mutex_);
    left_.wait(lock, [this] { return with_grpc_ == 0; });
  }
  queue_.Shutdown();
  reader_.join();
}

/// Opens when the first call needs it.
std::shared_ptr<GrpcTransport::Connection> GrpcTransport::connect() const {
  const std::string address = endpoint_.address().to_string();
  const std::string target = endpoint_.address().is_v6()
                                 ? fmt::format("ipv6:[{}]:{}", address, endpoint_.port())
                                 : fmt::format("ipv4:{}:{}", address, endpoint_.port());
  auto connection = std::make_shared<Connection>();
  connection->stub = v1::Tern::NewStub(
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), channel_arguments(url_)));
  return connection;
}

std::shared_ptr<GrpcTransport::Connection> GrpcTransport::connection_with_room() {
  if (!options_.keep_alive) return connect();
  const auto found = std::find_if(connections_.begin(), connections_.end(), [](const auto& connection) {
    return connection->calls < kCallsPerConnection;
  });
  if (found != connections_.end()) return *found;
  return connections_.emplace_back(connect());
}

void GrpcTransport::start(const LoadRequest& request, std::shared_ptr<CallObserver> observer) {
  const v1::GenerateRequest message = to_generate_request(request);
  const auto call = std::make_shared<Call>(*this, connection_with_room(), std::move(observer));
  busy_.insert(call);
  {
    const std::lock_guard lock(mutex_);
    ++with_grpc_;
  }
  if (!watching_) watch();
  call->start(message, request.deadline_ms);
}

void GrpcTransport::read() {
  name_thread("tern-load-grpc");
  prefer_latency();
  void* call = nullptr;
  bool ok = false;
  while (queue_.Next(&call, &ok)) static_cast<Call*>(call)->on_done(ok, Clock::now());
}

/// A note costs the I/O thread less than its event cost gRPC, so that they don't pile up.
void GrpcTransport::post(Note note) {
  const std::lock_guard lock(mutex_);
  if (note.what == Note::What::end && --with_grpc_ == 0) left_.notify_one();
  notes_.push_back(std::move(note));
  if (notes_.size() == 1) asio::post(io_, [this] { take_notes(); });
}

void GrpcTransport::take_notes() {
  std::vector<Note> notes;
  {
    const std::lock_guard lock(mutex_);
    notes.swap(notes_);
  }
  for (const Note& note : notes) note.call->take(note);
}

/// Ends what takes too long. Runs while there are calls, and keeps the I/O thread waiting for their notes.
void GrpcTransport::watch() {
  watching_ = !busy_.empty();
  if (!watching_) return;
  watch_.expires_after(kWatchPause);
  watch_.async_wait([this](boost::system::error_code error) {
    if (error) return;
    const TimePoint now = Clock::now();
    std::vector<std::shared_ptr<Call>> late;
    std::copy_if(busy_.begin(), busy_.end(), std::back_inserter(late),
                 [&](const auto& call) { return call->too_late(now); });
    for (const auto& call : late) call->fail_call("timed out");
    watch();
  });
}

void GrpcTransport::abort_all(const std::string& why) {
  while (!busy_.empty()) (*busy_.begin())->fail_call(why);
  watch_.cancel();
}

std::string GrpcTransport::first_model() {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(static_cast<int64_t>(options_.timeout_s * 1e3)));
  authorize(context, options_.api_key);
  v1::ListModelsResponse response;
  const grpc::Status status = connection_with_room()->stub->ListModels(&context, {}, &response);
  if (!status.ok()) fail(ErrorKind::io, "{}: {}", options_.url, words_of(status));
  if (response.models().empty())
    fail(ErrorKind::bad_input, "{}: expected a list of models; name one with --model", options_.url);
  return response.models(0).id();
}

}  // namespace tern::load
