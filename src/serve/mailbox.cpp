#include "serve/mailbox.h"

#include <boost/asio/post.hpp>

namespace tern {

namespace asio = boost::asio;

std::shared_ptr<Mailbox> make_mailbox(asio::io_context& io) {
  auto self = std::make_shared<std::weak_ptr<Mailbox>>();  // the box holds what wakes it
  auto box = std::make_shared<Mailbox>([&io, self] {
    asio::post(io, [self] {
      if (const auto mine = self->lock()) mine->run();
    });
  });
  *self = box;
  return box;
}

}  // namespace tern
