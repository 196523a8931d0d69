#include "serve/server.h"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

#include <csignal>
#include <optional>
#include <utility>
#include <vector>

#include "serve/connection.h"
#include "serve/grpc/door.h"
#include "serve/listen.h"

namespace tern {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

struct Server::Impl {
  Impl(Engine& engine, const ServeOptions& given)
      : options(given),
        acceptor(listen(io, options.host, options.port)),
        endpoint(acceptor.local_endpoint()),
        mailbox(std::make_shared<Mailbox>([this] { asio::post(io, [box = mailbox] { box->run(); }); })),
        service(engine, options, mailbox, endpoint.address().is_loopback()) {
    hub.on_closed = [this] { on_closed(); };
    if (options.grpc_port) open_grpc(engine);
  }

  ~Impl() {
    mailbox->close();
    abort_all();
  }

  void open_grpc(Engine& engine);

  void accept();
  void on_accepted(error_code error, tcp::socket socket);
  void await_signal();
  void on_closed();
  void stop();
  void abort_all();
  void end_if_empty();

  ServeOptions options;
  asio::io_context io{1};
  tcp::acceptor acceptor;
  const tcp::endpoint endpoint;
  std::shared_ptr<Mailbox> mailbox;
  Service service;
  Hub hub{io, options, service, {}, false, {}};
  asio::signal_set signals{io};
  asio::steady_timer retry{io};
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
  grpc = std::make_unique<GrpcDoor>(engine, same, service.active(), on_drained);
}

void Server::Impl::accept() {
  const bool full = hub.connections.size() >= static_cast<size_t>(options.max_connections);
  if (accepting || full || hub.draining) return;
  accepting = true;
  acceptor.async_accept(
      [this](error_code error, tcp::socket socket) { on_accepted(error, std::move(socket)); });
}

void Server::Impl::on_accepted(error_code error, tcp::socket socket) {
  accepting = false;
  if (hub.draining) return;
  if (!error) {
    const auto connection = std::make_shared<Connection>(std::move(socket), hub);
    hub.connections.insert(connection);
    connection->start();
    return accept();
  }
  // No file descriptors left, most likely: those who have one are served, and soon it is tried again.
  retry.expires_after(std::chrono::milliseconds(50));
  retry.async_wait([this](error_code cancelled) {
    if (!cancelled) accept();
  });
}

void Server::Impl::await_signal() {
  signals.async_wait([this](error_code error, int) {
    if (error) return;
    await_signal();  // first, for stop() ends the wait where nothing is left to do
    stop();
  });
}

void Server::Impl::on_closed() {
  accept();
  end_if_empty();
}

/// run() returns when nothing is left to wait for.
void Server::Impl::end_if_empty() {
  if (!hub.draining || !hub.connections.empty() || grpc_open) return;
  error_code ignored;
  signals.cancel(ignored);
}

void Server::Impl::stop() {
  if (hub.draining) return abort_all();
  hub.draining = true;
  service.drain();
  retry.cancel();
  error_code ignored;
  acceptor.close(ignored);
  for (const auto& connection : std::vector(hub.connections.begin(), hub.connections.end()))
    connection->drain();
  if (grpc) grpc->drain();
  end_if_empty();
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

void Server::run() {
  if (impl_->options.handle_signals) {
    impl_->signals.add(SIGTERM);
    impl_->signals.add(SIGINT);
    impl_->await_signal();
  }
  impl_->accept();
  impl_->io.run();
}

void Server::stop() {
  asio::post(impl_->io, [impl = impl_.get()] { impl->stop(); });
}

}  // namespace tern
