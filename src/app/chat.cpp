// The chat loop of `tern run` on a terminal.
#include <editline/readline.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "app/run.h"
#include "base/error.h"

namespace tern::app {
namespace {

std::atomic<bool> interrupted = false, reading = false;
static_assert(std::atomic<bool>::is_always_lock_free, "set in a signal handler");

/// While it lives, Ctrl-C sets `interrupted` instead of ending the program. It ends a read of the terminal,
/// too; one that comes just before the read is followed by an alarm, which does.
class CatchInterrupt {
 public:
  CatchInterrupt() {
    struct sigaction action = {};
    action.sa_handler = [](int signal) {
      interrupted = true;
      if (signal == SIGINT && reading) ::alarm(1);
    };
    ::sigaction(SIGINT, &action, &before_);
    ::sigaction(SIGALRM, &action, &alarm_before_);
  }
  ~CatchInterrupt() {
    ::sigaction(SIGINT, &before_, nullptr);
    ::sigaction(SIGALRM, &alarm_before_, nullptr);
  }
  CatchInterrupt(const CatchInterrupt&) = delete;
  CatchInterrupt& operator=(const CatchInterrupt&) = delete;

 private:
  struct sigaction before_, alarm_before_;
};

/// One line from the terminal; an empty one where Ctrl-C gave it up, nothing at end of input.
std::optional<std::string> read_line(const char* prompt) {
  interrupted = false;
  // libedit shows the prompt before it takes the terminal over: what is typed in between, Ctrl-D say, would
  // be lost.
  ::rl_prep_terminal(1);
  reading = true;
  const std::unique_ptr<char, decltype(&std::free)> line(::readline(prompt), std::free);
  reading = false;
  ::alarm(0);
  if (!line && interrupted) {
    fmt::print("\n");
    return std::string();
  }
  if (!line) return std::nullopt;
  if (*line) ::add_history(line.get());
  return std::string(line.get());
}

}  // namespace

void chat(Engine& engine, const RunOptions& options, const std::string& name) {
  fmt::print("{}: ask away. /new forgets the conversation, Ctrl-C stops an answer, Ctrl-D ends.\n", name);
  ::using_history();
  const CatchInterrupt catching;
  std::vector<ChatMessage> messages;
  while (const auto line = read_line("> ")) {
    if (line->empty()) continue;
    if (*line == "/new") {
      messages.clear();
      continue;
    }
    messages.push_back({"user", *line});
    try {
      interrupted = false;
      messages.push_back({"assistant", ask(engine, messages, options, &interrupted).answer});
    } catch (const Error& error) {
      fmt::print(stderr, "tern: {}\n", error.what());
      messages.pop_back();
    }
  }
  fmt::print("\n");
}

}  // namespace tern::app
