#include "app/run.h"

#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <iterator>
#include <limits>
#include <mutex>
#include <nlohmann/json.hpp>
#include <variant>

#include "app/commands.h"
#include "base/error.h"

namespace tern::app {
namespace {

using Event = std::variant<TokenEvent, FinishEvent>;

/// Brings events from the engine's thread to the terminal's.
class EventQueue : public EventSink {
 public:
  void on_token(const TokenEvent& event) override { push(event); }
  void on_finish(const FinishEvent& event) override { push(event); }

  /// The next event; nothing after a tenth of a second without one.
  std::optional<Event> pop() {
    std::unique_lock lock(mutex_);
    if (!ready_.wait_for(lock, std::chrono::milliseconds(100), [&] { return !events_.empty(); }))
      return std::nullopt;
    Event event = std::move(events_.front());
    events_.pop_front();
    return event;
  }

 private:
  void push(Event event) {
    {
      std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
    }
    ready_.notify_one();
  }

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Event> events_;
};

/// Streams the two sides of a reply to standard output, the thinking dimmed where a person looks.
class Printer {
 public:
  explicit Printer(bool quiet)
      : quiet_(quiet), colours_(::isatty(STDOUT_FILENO) && !std::getenv("NO_COLOR")) {}

  void text(const std::string& text, bool thinking) {
    if (quiet_ || text.empty()) return;
    if (thinking != in_thinking_ && printed_) end_side();
    if (!printed_ && thinking && colours_) std::fputs("\x1b[2m", stdout);
    in_thinking_ = thinking;
    printed_ = true;
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }

  void finish() {
    if (printed_) end_side();
    std::fflush(stdout);
  }

 private:
  void end_side() {
    if (in_thinking_ && colours_) std::fputs("\x1b[0m", stdout);
    std::fputc('\n', stdout);
    printed_ = false;
  }

  bool quiet_, colours_;
  bool printed_ = false;
  bool in_thinking_ = false;
};

const char* reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::error:
      return "error";
  }
  return "error";
}

double tokens_per_second(const FinishEvent& finish) {
  const double decoding = finish.timings.total_s - finish.timings.first_token_s;
  return finish.usage.completion_tokens > 1 && decoding > 0 ? (finish.usage.completion_tokens - 1) / decoding
                                                            : 0;
}

void print_summary(const FinishEvent& finish) {
  const Usage& usage = finish.usage;
  fmt::print(
      stderr,
      "{} thinking + {} answer tokens | first token {:.1f} ms, whole answer {:.1f} ms, {:.0f} tokens/s{}\n",
      usage.reasoning_tokens, usage.completion_tokens - usage.reasoning_tokens,
      finish.timings.first_token_s * 1e3, finish.timings.total_s * 1e3, tokens_per_second(finish),
      finish.reason == FinishReason::stop ? "" : fmt::format(" | {}", reason_name(finish.reason)));
}

void print_json(const std::string& prompt, const Reply& reply) {
  const Usage& usage = reply.finish.usage;
  nlohmann::ordered_json out;
  out["prompt"] = prompt;
  out["thinking"] = reply.thinking;
  out["answer"] = reply.answer;
  out["finish_reason"] = reason_name(reply.finish.reason);
  out["usage"] = {{"prompt_tokens", usage.prompt_tokens},
                  {"completion_tokens", usage.completion_tokens},
                  {"reasoning_tokens", usage.reasoning_tokens}};
  out["first_token_ms"] = reply.finish.timings.first_token_s * 1e3;
  out["total_ms"] = reply.finish.timings.total_s * 1e3;
  out["tokens_per_second"] = tokens_per_second(reply.finish);
  fmt::print("{}\n", out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

GenerateRequest make_request(const Engine& engine, const std::vector<ChatMessage>& messages,
                             const RunOptions& options) {
  GenerateRequest request;
  jinja::Dict variables;
  variables.set("messages", message_list(messages));
  // Templates call the same switch differently.
  for (const char* name : {"enable_thinking", "thinking"})
    variables.set(name, options.thinking == Thinking::on);
  request.prompt = engine.chat().encode(engine.chat().render(std::move(variables)));
  request.max_tokens = options.max_tokens;
  request.sampling = options.sampling;
  request.starts_thinking = engine.chat().opens_thinking(request.prompt);
  request.thinking_budget = options.thinking_budget;
  return request;
}

}  // namespace

Reply ask(Engine& engine, const std::vector<ChatMessage>& messages, const RunOptions& options,
          const std::atomic<bool>* stop) {
  auto events = std::make_shared<EventQueue>();
  const RequestId id = engine.submit(make_request(engine, messages, options), events);
  Printer printer(options.json);
  Reply reply;
  const auto take = [&](const std::string& text, bool thinking) {
    (thinking ? reply.thinking : reply.answer) += text;
    printer.text(text, thinking);
  };
  for (bool cancelled = false;;) {
    if (!cancelled && stop && *stop) {
      engine.cancel(id);
      cancelled = true;
    }
    const auto event = events->pop();
    if (!event) continue;
    if (const auto* token = std::get_if<TokenEvent>(&*event)) {
      take(token->text, token->thinking);
    } else {
      reply.finish = std::get<FinishEvent>(*event);
      take(reply.finish.text, reply.finish.thinking);
      break;
    }
  }
  printer.finish();
  if (reply.finish.reason == FinishReason::error)
    fail(ErrorKind::internal, "the answer failed: {}", reply.finish.error);
  if (options.json) {
    print_json(messages.back().content, reply);
  } else {
    print_summary(reply.finish);
  }
  return reply;
}

namespace {

struct RunArguments {
  ModelArguments model;
  RunOptions options;
  std::string think = "on";
  std::string prompt;
};

struct Think {
  Thinking thinking = Thinking::on;
  std::optional<int> budget;
};

/// on | off | N: a budget of N tokens.
Think parse_think(const std::string& text) {
  if (text == "on") return {};
  if (text == "off") return {Thinking::off, std::nullopt};
  int budget = 0;
  if (!CLI::detail::lexical_cast(text, budget) || budget < 0) {
    fail(ErrorKind::bad_input, "expected on, off or a number of tokens, found {}", text);
  }
  return {Thinking::on, budget};
}

/// A number in [low, high]. Written so that NaN fails, which CLI::Range lets through.
auto number_in(double low, double high, const char* expected) {
  return readable_by([=](const std::string& text) {
    double value = 0;
    if (!CLI::detail::lexical_cast(text, value) || !(value >= low && value <= high))
      fail(ErrorKind::bad_input, "expected {}, found {}", expected, text);
    return value;
  });
}

/// All of standard input, without the ends of its last lines.
std::string read_question() {
  std::string question(std::istreambuf_iterator<char>(std::cin), {});
  while (!question.empty() && question.back() == '\n') question.pop_back();
  return question;
}

void run(RunArguments& arguments) {
  const Think think = parse_think(arguments.think);
  arguments.options.thinking = think.thinking;
  arguments.options.thinking_budget = think.budget;
  const bool chats = arguments.prompt.empty() && ::isatty(STDIN_FILENO);
  if (arguments.prompt.empty() && !chats) arguments.prompt = read_question();
  if (!chats && arguments.prompt.find_first_not_of(" \t\r\n") == std::string::npos)
    throw CLI::ValidationError("prompt", "no question: expected one as an argument or on standard input");
  EngineOptions options;
  options.parallel = 1;
  arguments.model.apply(options);
  const GgufFile file = arguments.model.open();
  Engine engine(file, options);
  if (chats) {
    chat(engine, arguments.options, arguments.model.name());
    return;
  }
  if (arguments.options.show_prompt) {
    fmt::print("> {}\n", arguments.prompt);
    std::fflush(stdout);
  }
  ask(engine, {{"user", arguments.prompt}}, arguments.options);
}

}  // namespace

void add_run(CLI::App& app) {
  CLI::App* command = app.add_subcommand("run", "Ask a model, or chat with it");
  auto arguments = std::make_shared<RunArguments>();
  RunOptions& options = arguments->options;
  arguments->model.add_to(*command);
  command->add_option("prompt", arguments->prompt,
                      "The question; without it a chat on a terminal, else standard input");
  command
      ->add_option("--max-tokens", options.max_tokens,
                   "Tokens to generate at most (0: as far as the context reaches)")
      ->check(CLI::NonNegativeNumber);
  command->add_option("--temperature", options.sampling.temperature, "0 takes the most probable token")
      ->check(number_in(0, std::numeric_limits<float>::max(), "a number from 0"))
      ->capture_default_str();
  command->add_option("--top-k", options.sampling.top_k, "Keep the K most probable tokens (0: all)")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--top-p", options.sampling.top_p, "Keep the most probable tokens that sum to P")
      ->check(number_in(0, 1, "0 to 1"))
      ->capture_default_str();
  command->add_option("--min-p", options.sampling.min_p, "Drop tokens below P times the best one")
      ->check(number_in(0, 1, "0 to 1"))
      ->capture_default_str();
  command->add_option("--seed", options.sampling.seed, "Seed of the sampling")->capture_default_str();
  command->add_option("--think", arguments->think, "on, off, or the number of tokens to think at most")
      ->check(readable_by(parse_think))
      ->capture_default_str();
  command->add_flag("--json", options.json, "Print one JSON object instead of text");
  command->add_flag("--show-prompt", options.show_prompt, "Print the question first");
  command->footer(R"(Examples:
  tern run "chep red sneakrs undr 60"
  tern run --think off --json "velora jackets"        answer at once, for a program to read
  tern run -m model.gguf --temperature 0.7 --seed 1 "hello"
  echo "blue backpak" | tern run
  tern run                                            chat; Ctrl-C stops an answer, Ctrl-D ends)");
  command->callback([arguments] { run(*arguments); });
}

}  // namespace tern::app
