// tern's own gRPC API: calls over few connections, read by one thread, told on the I/O thread.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <vector>

#include <boost/asio/steady_timer.hpp>

#include <grpcpp/completion_queue.h>
#include <tern/v1/tern.grpc.pb.h>

#include "measure/load/transport.h"
#include "measure/load/url.h"

namespace tern::load {

/// A request's deadline is its call's own; a call that the deadline ended was late, not failed. What passes
/// on the wire gRPC doesn't tell, so bytes are computed: each message with its head and its frame's.
class GrpcTransport : public Transport {
 public:
  GrpcTransport(boost::asio::io_context& io, const ServerOptions& options);
  ~GrpcTransport() override;
  std::string first_model() override;
  void start(const LoadRequest& request, std::shared_ptr<CallObserver> observer) override;
  void abort_all(const std::string& why) override;

 private:
  class Call;
  struct Connection {
    std::unique_ptr<v1::Tern::Stub> stub;
    int calls = 0;  ///< under way
  };
  /// What gRPC's thread tells the I/O thread.
  struct Note {
    enum class What : uint8_t { head, event, end };
    std::shared_ptr<Call> call;
    TimePoint at;
    What what = What::head;
    bool thinking = false, answer = false;  ///< what an event has text of
  };

  std::shared_ptr<Connection> connect() const;
  std::shared_ptr<Connection> connection_with_room();
  void read();
  void post(Note note);
  void take_notes();
  void watch();

  boost::asio::io_context& io_;
  const ServerOptions options_;
  const ServerUrl url_;
  const boost::asio::ip::tcp::endpoint endpoint_;
  grpc::CompletionQueue queue_;

  // Of the I/O thread.
  boost::asio::steady_timer watch_;
  bool watching_ = false;
  std::vector<std::shared_ptr<Connection>> connections_;
  std::unordered_set<std::shared_ptr<Call>> busy_;  ///< those whose observers wait for their end

  std::mutex mutex_;  ///< of the two below
  std::vector<Note> notes_;
  int with_grpc_ = 0;  ///< calls that gRPC will still report on
  std::condition_variable left_;
  std::thread reader_;
};

}  // namespace tern::load
