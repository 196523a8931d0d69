#include "serve/mailbox.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

namespace tern {

namespace asio = boost::asio;

std::shared_ptr<Mailbox> make_mailbox(asio::io_context& io) {
  // The hooks know it weakly: they are its own.
  auto self = std::make_shared<std::weak_ptr<Mailbox>>();
  const auto run = [self] {
    if (const auto box = self->lock()) box->run();
  };
  const auto timer = std::make_shared<asio::steady_timer>(io);
  auto box = std::make_shared<Mailbox>(Mailbox::Hooks{[&io, run] { asio::post(io, run); },
                                                      [timer, run] {
                                                        timer->expires_after(Mailbox::kGather);
                                                        timer->async_wait(
                                                            [run](const boost::system::error_code& error) {
                                                              if (!error) run();
                                                            });
                                                      },
                                                      Clock::now});
  *self = box;
  return box;
}

}  // namespace tern
