#include "serve/server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/threads.h"
#include "serve/connection.h"
#include "serve/grpc/door.h"
#include "serve/listen.h"

namespace tern {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr size_t kPerClient = 256;  ///< connections of one address from elsewhere
constexpr size_t kTurnedAway = 64;  ///< connections beyond the most that are told so
constexpr size_t kOtherFiles = 64;  ///< descriptors for all that is no connection

Address address_of(const asio::ip::address& from) {
  Address address;
  if (from.is_v6()) {
    address.bytes = from.to_v6().to_bytes();
  } else {
    address.bytes = asio::ip::make_address_v6(asio::ip::v4_mapped, from.to_v4()).to_bytes();
  }
  return address;
}

/// Whether no other machine reaches any of them.
bool are_loopback(const std::vector<tcp::endpoint>& endpoints) {
  return std::all_of(endpoints.begin(), endpoints.end(), [](const tcp::endpoint& endpoint) {
    return address_of(endpoint.address()).is_loopback();
  });
}

tcp::acceptor listen_where_allowed(asio::io_context& io, const std::vector<tcp::endpoint>& endpoints,
                                   const ServeOptions& options) {
  check_exposure(options, are_loopback(endpoints));
  return listen(io, endpoints, options.host, options.port);
}

/// As many connections as were asked for, or as there will be file descriptors for.
size_t most_connections(const ServeOptions& options) {
  const auto asked = static_cast<size_t>(std::max(options.max_connections, 1));
  rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return asked;
  const size_t others = kOtherFiles + kTurnedAway;
  return std::min<size_t>(asked, files.rlim_cur > others ? files.rlim_cur - others : 1);
}

}  // namespace

struct Server::Impl {
  Impl(Engine& engine, const ServeOptions& given)
      : options(given),
        endpoints(resolve(io, options.host, options.port)),
        guard(options, are_loopback(endpoints)),
        acceptor(listen_where_allowed(io, endpoints, options)),
        endpoint(acceptor.local_endpoint()),
        mailbox(make_mailbox(io)),
        service(engine, options, mailbox, guard) {
    hub.on_closed = [this](const Address& peer) { on_closed(peer); };
    if (options.grpc_port) open_grpc(engine);
  }

  ~Impl() {
    mailbox->close();
    abort_all();
  }

  void open_grpc(Engine& engine);

  void accept();
  void on_accepted(error_code error, tcp::socket socket);
  void take_in(tcp::socket socket);
  bool make_room();
  size_t most_of(const Address& peer) const;
  void accept_waiting();
  void await_signal();
  void await_hangup();
  void on_closed(const Address& peer);
  void stop();
  void abort_all();
  void end_if_empty();
  void sample();

  ServeOptions options;
  asio::io_context io{1};
  const std::vector<tcp::endpoint> endpoints;  ///< where it may listen
  Guard guard;
  tcp::acceptor acceptor;
  const tcp::endpoint endpoint;
  std::shared_ptr<Mailbox> mailbox;
  Service service;
  Hub hub{io, options, service, {}, false, 0, {}};
  const size_t most = most_connections(options);
  std::unordered_map<Address, size_t> by_client;  ///< connections
  asio::signal_set signals{io}, hangups{io};
  asio::steady_timer retry{io}, sampler{io};
  bool accepting = false;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>>
      grpc_open;  ///< until the gRPC door has drained
  std::unique_ptr<GrpcDoor> grpc;
};

/// On the address that HTTP has found.
void Server::Impl::open_grpc(Engine& engine) {
  grpc_open.emplace(io.get_executor());
  ServeOptions same = options;
  same.host = endpoint.address().to_string();
  const auto on_drained = [this] {
    asio::post(io, [this] {
      grpc_open.reset();
      end_if_empty();
    });
  };
  grpc = std::make_unique<GrpcDoor>(engine, same, guard, service.telemetry(), service.active(), on_drained);
}

void Server::Impl::accept() {
  if (accepting || hub.draining) return;
  accepting = true;
  acceptor.async_accept(
      [this](error_code error, tcp::socket socket) { on_accepted(error, std::move(socket)); });
}

void Server::Impl::on_accepted(error_code error, tcp::socket socket) {
  accepting = false;
  if (!error) {
    take_in(std::move(socket));
    return accept();
  }
  if (hub.draining) return;
  // No file descriptors left, most likely: somebody who does nothing gives one, and soon it is tried again.
  make_room();
  retry.expires_after(std::chrono::milliseconds(50));
  retry.async_wait([this](error_code cancelled) {
    if (!cancelled) accept();
  });
}

void Server::Impl::take_in(tcp::socket socket) {
  error_code error;
  const auto remote = socket.remote_endpoint(error);
  if (error || hub.connections.size() >= most + kTurnedAway) return;
  const Address peer = address_of(remote.address());
  const auto connection = std::make_shared<Connection>(std::move(socket), peer, hub);
  const size_t of_client = ++by_client[peer.group()];
  hub.connections.insert(connection);
  if (of_client > most_of(peer)) {
    return connection->turn_away(
        ApiError(429, fmt::format("More than {} connections of one client.", most_of(peer)), "",
                 "too_many_connections"));
  }
  if (hub.connections.size() > most && !make_room()) {
    return connection->turn_away(ApiError(503, "Too many connections right now.").retry_after(1));
  }
  connection->start();
}

/// Closes the connection that has waited longest for its client's next request; false without one.
bool Server::Impl::make_room() {
  std::shared_ptr<Connection> longest;
  for (const auto& connection : hub.connections) {
    const auto since = connection->idle_since();
    if (since && (!longest || *since < *longest->idle_since())) longest = connection;
  }
  if (!longest) return false;
  longest->abort();
  return true;
}

size_t Server::Impl::most_of(const Address& peer) const {
  constexpr size_t kNoLimit = std::numeric_limits<size_t>::max();
  if (is_in(peer, guard.proxies())) return kNoLimit;
  if (options.connections_per_client) return static_cast<size_t>(*options.connections_per_client);
  return peer.is_loopback() ? kNoLimit : kPerClient;
}

void Server::Impl::await_signal() {
  signals.async_wait([this](error_code error, int) {
    if (error) return;
    await_signal();  // first, for stop() ends the wait where nothing is left to do
    stop();
  });
}

void Server::Impl::await_hangup() {
  hangups.async_wait([this](error_code error, int) {
    if (error) return;
    fmt::print(stderr, "tern: {}\n", guard.reload());
    await_hangup();
    end_if_empty();  // the wait may have been cancelled while this was on its way
  });
}

void Server::Impl::on_closed(const Address& peer) {
  const auto found = by_client.find(peer.group());
  if (found != by_client.end() && --found->second == 0) by_client.erase(found);
  accept();
  end_if_empty();
}

/// run() returns when nothing is left to wait for.
void Server::Impl::end_if_empty() {
  if (!hub.draining || !hub.connections.empty() || grpc_open) return;
  error_code ignored;
  signals.cancel(ignored);
  hangups.cancel(ignored);
  sampler.cancel();
}

void Server::Impl::sample() {
  if (hub.draining && hub.connections.empty()) return;
  service.sample();
  sampler.expires_after(StatsWindow::kStep);
  sampler.async_wait([this](error_code cancelled) {
    if (!cancelled) sample();
  });
}

void Server::Impl::stop() {
  if (hub.draining) return abort_all();
  hub.draining = true;
  service.drain();
  retry.cancel();
  accept_waiting();
  for (const auto& connection : std::vector(hub.connections.begin(), hub.connections.end()))
    connection->drain();
  if (grpc) grpc->drain();
  end_if_empty();
}

/// Takes in who has connected already, then stops listening: closing the socket on them would lose a request
/// that may be on its way.
void Server::Impl::accept_waiting() {
  error_code error;
  acceptor.cancel(error);
  acceptor.non_blocking(true, error);
  for (size_t i = 0; i < most && !error; ++i) {
    tcp::socket socket(io);
    acceptor.accept(socket, error);
    if (!error) take_in(std::move(socket));
  }
  acceptor.close(error);
}

void Server::Impl::abort_all() {
  for (const auto& connection : std::vector(hub.connections.begin(), hub.connections.end()))
    connection->abort();
  if (grpc) grpc->abort();
}

Server::Server(Engine& engine, const ServeOptions& options)
    : impl_(std::make_unique<Impl>(engine, options)) {}
Server::~Server() = default;

uint16_t Server::port() const {
  return impl_->endpoint.port();
}

uint16_t Server::grpc_port() const {
  return impl_->grpc ? impl_->grpc->port() : 0;
}

std::string Server::url() const {
  const bool v6 = impl_->endpoint.address().is_v6();
  return fmt::format("http://{}{}{}:{}", v6 ? "[" : "", impl_->endpoint.address().to_string(), v6 ? "]" : "",
                     port());
}

const std::shared_ptr<Telemetry>& Server::telemetry() const {
  return impl_->service.telemetry();
}

Guard& Server::guard() {
  return impl_->guard;
}

void Server::check(const ServeOptions& options) {
  asio::io_context io;
  const bool loopback = are_loopback(resolve(io, options.host, options.port));
  check_exposure(options, loopback);
  const Guard guard(options, loopback);
}

void Server::run() {
  if (impl_->options.handle_signals) {
    if (impl_->guard.has_keys()) {
      impl_->hangups.add(SIGHUP);
      impl_->await_hangup();
    }
    impl_->signals.add(SIGTERM);
    impl_->signals.add(SIGINT);
    impl_->await_signal();
  }
  prefer_latency();
  impl_->accept();
  impl_->sample();
  impl_->io.run();
}

void Server::stop() {
  asio::post(impl_->io, [impl = impl_.get()] { impl->stop(); });
}

}  // namespace tern
