#include "measure/load/transport.h"

#include "measure/load/grpc_transport.h"
#include "measure/load/http_transport.h"

namespace tern::load {

std::unique_ptr<Transport> make_transport(boost::asio::io_context& io, const ServerOptions& options) {
  if (parse_url(options.url).grpc) return std::make_unique<GrpcTransport>(io, options);
  return std::make_unique<HttpTransport>(io, options);
}

}  // namespace tern::load
