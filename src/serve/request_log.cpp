#include "serve/request_log.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cmath>
#include <csignal>
#include <ctime>
#include <utility>

#include <nlohmann/json.hpp>

namespace tern {
namespace {

using LogJson = nlohmann::ordered_json;

std::string rfc3339(double unix_seconds) {
  const auto ms = static_cast<int64_t>(unix_seconds * 1000);
  const std::time_t seconds = ms / 1000;
  std::tm parts;
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", gmtime_r(&seconds, &parts));
  return fmt::format("{}.{:03}Z", text, ms % 1000);
}

double rounded(double ms) {
  return std::round(ms * 1000) / 1000;
}

LogJson fields_of(const RequestRecord& record) {
  LogJson json;
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) json[name] = value;
  };
  json["time"] = rfc3339(record.time);
  add("id", record.id);
  add("request_id", record.request_id);
  json["method"] = record.method;
  json["route"] = record.route;
  if (record.path != record.route) json["path"] = record.path;
  json["status"] = record.status;
  if (!record.finish_reason.empty()) {
    json["finish_reason"] = record.finish_reason;
    json["prompt_tokens"] = record.prompt_tokens;
    json["completion_tokens"] = record.completion_tokens;
    json["thinking_tokens"] = record.thinking_tokens;
    json["closed_by"] = record.closed_by;
  }
  if (record.ttft_ms >= 0) json["ttft_ms"] = rounded(record.ttft_ms);
  json["e2e_ms"] = rounded(record.e2e_ms);
  if (record.deadline_ms >= 0) {
    json["deadline_ms"] = rounded(record.deadline_ms);
    json["promised"] = record.promised;
    json["on_time"] = record.on_time;
  }
  json["client_closed"] = record.client_left;
  json["bytes_sent"] = record.bytes;
  json["trace_id"] = record.trace.trace_id;
  json["span_id"] = record.trace.span_id;
  add("parent_id", record.trace.parent_id);
  if (record.with_text) {
    json["prompts"] = record.prompts;
    json["replies"] = record.replies;
  }
  return json;
}

/// Valid UTF-8 on one line, whatever clients and models wrote.
std::string dump(const LogJson& json) {
  return json.dump(-1, ' ', true, LogJson::error_handler_t::replace);
}

bool is_plain(std::string_view text) {
  constexpr std::string_view kSpecial = "\"\\=";
  for (const char c : text) {
    if (c <= ' ' || c > '~' || kSpecial.find(c) != std::string_view::npos) return false;
  }
  return !text.empty();
}

}  // namespace

std::string json_line(const RequestRecord& record) {
  return dump(fields_of(record)) + "\n";
}

std::string text_line(const RequestRecord& record) {
  std::string line;
  const LogJson fields = fields_of(record);
  for (const auto& [name, value] : fields.items()) {
    if (!line.empty()) line += ' ';
    const bool plain = value.is_string() && is_plain(value.get_ref<const std::string&>());
    line += fmt::format("{}={}", name, plain ? value.get_ref<const std::string&>() : dump(value));
  }
  return line + "\n";
}

LineWriter::LineWriter(int fd) : fd_(fd), thread_([this] { run(); }) {}

LineWriter::~LineWriter() {
  {
    std::unique_lock lock(mutex_);
    ending_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds(1), [this] { return bytes_ == 0; });
  }
  out_of_time_ = true;
  thread_.join();
}

void LineWriter::write(std::string line) {
  {
    const std::lock_guard lock(mutex_);
    if (bytes_ + line.size() <= kMostBytes) {
      bytes_ += line.size();
      lines_.push_back(std::move(line));
    } else {
      ++dropped_;
      return;
    }
  }
  changed_.notify_all();
}

void LineWriter::run() {
  // A closed pipe is an error to be counted here, not the end of the server.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);

  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return ending_ || !lines_.empty(); });
    if (lines_.empty()) return;
    const std::string line = std::move(lines_.front());
    lines_.pop_front();
    lock.unlock();
    if (!put(line)) ++dropped_;
    lock.lock();
    bytes_ -= line.size();
    if (bytes_ == 0) changed_.notify_all();
  }
}

/// False where it could not all be written.
bool LineWriter::put(std::string_view bytes) {
  while (!bytes.empty()) {
    if (out_of_time_) return false;
    pollfd ready{fd_, POLLOUT, 0};
    const int polled = ::poll(&ready, 1, 50);
    if (polled == 0 || (polled < 0 && errno == EINTR)) continue;
    // A pipe that is ready takes this much without waiting.
    const ssize_t written = ::write(fd_, bytes.data(), std::min<size_t>(bytes.size(), PIPE_BUF));
    if (written < 0 && errno != EINTR && errno != EAGAIN) return false;
    if (written > 0) bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

RequestLog::RequestLog(LogFormat format, int fd) : format_(format), writer_(fd) {}

void RequestLog::write(const RequestRecord& record) {
  writer_.write(format_ == LogFormat::text ? text_line(record) : json_line(record));
}

}  // namespace tern
