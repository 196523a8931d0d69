#include "serve/grpc/door.h"

#include <thread>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "base/threads.h"
#include "serve/grpc/connections.h"
#include "serve/grpc/service.h"
#include "serve/listen.h"

namespace tern {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using namespace std::chrono_literals;
using AcceptorOfGrpc = grpc::experimental::ExternalConnectionAcceptor;

namespace {

constexpr auto kRetry = 50ms;     ///< until it is looked again whether a connection can be had
constexpr auto kSweep = 1s;       ///< between two looks for readers that are stuck
constexpr auto kGoodbye = 500ms;  ///< for last bytes, when nothing runs any more; watchers of health end then

tcp::acceptor listen_on(asio::io_context& io, const std::string& host, uint16_t port) {
  return listen(io, resolve(io, host, port), host, port);
}

int ms(std::chrono::milliseconds time) {
  return static_cast<int>(time.count());
}

/// What a client may cost. Nobody needs more than one of many streams to go on, so of those more are let in
/// than may run: what is too much is refused by us, at once, instead of waiting at the client.
void set_limits(grpc::ServerBuilder& builder, const ServeOptions& options) {
  grpc::ResourceQuota quota("tern");
  quota.Resize(256 << 20);  // beyond, gRPC closes idle connections and cancels calls
  quota.SetMaxThreads(4);   // for reflection; calls have gRPC's shared two
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(static_cast<int>(options.body_limit));
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, static_cast<int>(options.header_limit));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 4 * options.max_choices);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, ms(options.header_timeout));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, ms(5min));
  // A client that is gone without a word is noticed; one that asks too often whether we live is sent away.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, ms(30s));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, ms(10s));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, ms(10s));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 2);
}

}  // namespace

struct GrpcDoor::Impl {
  Impl(Engine& engine, const ServeOptions& given, Guard& guard, std::shared_ptr<Telemetry> telemetry,
       std::shared_ptr<std::atomic<int>> active, std::function<void()> drained)
      : options(given),
        acceptor(listen_on(io, options.host, options.grpc_port.value_or(0))),
        port(acceptor.local_endpoint().port()),
        mailbox(make_mailbox(io)),
        hub{engine,
            options,
            guard,
            std::move(telemetry),
            mailbox,
            std::move(active),
            [this] { end_if_empty(); }},
        service(hub),
        on_drained(std::move(drained)) {
    start_grpc();
    accept();
    sweep();
    thread = std::thread([this] { run(); });
  }

  ~Impl() {
    thread.join();
    mailbox->close();
  }

  void start_grpc();
  void run();
  void accept();
  void accept_later();
  void on_accepted(error_code error, tcp::socket socket);
  void sweep();
  void tell_health();
  void drain();
  void abort();
  void end_if_empty();

  const ServeOptions options;
  asio::io_context io{1};
  tcp::acceptor acceptor;
  const uint16_t port;
  std::shared_ptr<Mailbox> mailbox;
  CallHub hub;
  GrpcService service;
  std::function<void()> on_drained;
  asio::steady_timer retry{io}, sweeper{io};
  Connections connections;
  bool serving = true;  ///< health says so
  std::unique_ptr<AcceptorOfGrpc> hand_over;
  std::unique_ptr<grpc::Server> server;
  std::thread thread;
};

/// gRPC could listen itself, but stops for ever where descriptors run out once.
void GrpcDoor::Impl::start_grpc() {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  set_limits(builder, options);
  builder.RegisterService(&service);
  hand_over = builder.experimental().AddExternalConnectionAcceptor(
      grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
      grpc::InsecureServerCredentials());
  server = builder.BuildAndStart();
  if (!server) fail(ErrorKind::io, "gRPC can't start on {} port {}", options.host, port);
  server->GetHealthCheckService()->SetServingStatus(v1::Tern::service_full_name(), true);
}

/// The acceptor and the sweeper keep it busy until end_if_empty().
void GrpcDoor::Impl::run() {
  name_thread("tern-grpc");
  io.run();
  server->Shutdown(std::chrono::system_clock::now() + kGoodbye);
  on_drained();
}

// ---- Connections

void GrpcDoor::Impl::accept() {
  if (connections.full(static_cast<size_t>(options.max_connections))) return accept_later();
  acceptor.async_accept(
      [this](error_code error, tcp::socket socket) { on_accepted(error, std::move(socket)); });
}

/// No room, or no descriptors: those who have one are served, and soon it is tried again.
void GrpcDoor::Impl::accept_later() {
  retry.expires_after(kRetry);
  retry.async_wait([this](error_code cancelled) {
    if (!cancelled && acceptor.is_open()) accept();
  });
}

void GrpcDoor::Impl::on_accepted(error_code error, tcp::socket socket) {
  if (!acceptor.is_open()) return;
  if (error) return accept_later();
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::send_buffer_size(options.socket_buffer), ignored);
  socket.native_non_blocking(true, ignored);
  AcceptorOfGrpc::NewConnectionParameters connection;
  connection.listener_fd = acceptor.native_handle();
  connection.fd = socket.release(error);
  if (!error) {
    connections.add(connection.fd);
    hand_over->HandleNewConnection(&connection);
  }
  accept();
}

void GrpcDoor::Impl::sweep() {
  for (const auto& call : hub.calls.all()) call->abort_if_stuck(Clock::now() - options.write_timeout);
  tell_health();
  sweeper.expires_after(kSweep);
  sweeper.async_wait([this](error_code cancelled) {
    if (!cancelled && acceptor.is_open()) sweep();
  });
}

/// Serving: not draining, and the engine is idle or stepped recently.
void GrpcDoor::Impl::tell_health() {
  const EngineStatus status = hub.engine.status();
  const double patience = std::chrono::duration<double>(options.stalled_after).count();
  const bool stalled = status.running + status.waiting > 0 && status.seconds_since_step > patience;
  const bool well = !stalled && !hub.draining;
  if (well != serving) server->GetHealthCheckService()->SetServingStatus(well);
  serving = well;
}

// ---- The end

void GrpcDoor::Impl::drain() {
  hub.draining = true;
  tell_health();
  end_if_empty();
}

void GrpcDoor::Impl::abort() {
  drain();
  for (const auto& call : hub.calls.all()) call->abort();
}

/// io.run() returns when nothing is left to wait for.
void GrpcDoor::Impl::end_if_empty() {
  if (!hub.draining || !hub.calls.empty()) return;
  error_code ignored;
  acceptor.close(ignored);
  retry.cancel();
  sweeper.cancel();
}

GrpcDoor::GrpcDoor(Engine& engine, const ServeOptions& options, Guard& guard,
                   std::shared_ptr<Telemetry> telemetry, std::shared_ptr<std::atomic<int>> active,
                   std::function<void()> on_drained)
    : impl_(std::make_unique<Impl>(engine, options, guard, std::move(telemetry), std::move(active),
                                   std::move(on_drained))) {}

GrpcDoor::~GrpcDoor() {
  abort();
}

uint16_t GrpcDoor::port() const {
  return impl_->port;
}

void GrpcDoor::drain() {
  asio::post(impl_->io, [impl = impl_.get()] { impl->drain(); });
}

void GrpcDoor::abort() {
  asio::post(impl_->io, [impl = impl_.get()] { impl->abort(); });
}

}  // namespace tern
