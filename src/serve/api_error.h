// What a client did wrong, in the words and fields of OpenAI's error object.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "base/error.h"

namespace tern {

/// An HTTP status and the fields of {"error": {message, type, param, code}}; empty param and code become
/// null.
class ApiError : public std::runtime_error {
 public:
  ApiError(int status, const std::string& message, std::string param = "", std::string code = "")
      : std::runtime_error(message), status_(status), param_(std::move(param)), code_(std::move(code)) {}

  int status() const { return status_; }
  const std::string& param() const { return param_; }
  const std::string& code() const { return code_; }
  /// When it may be tried again, in seconds, where that helps.
  std::optional<double> retry_s() const { return retry_s_; }
  ApiError retry_after(double seconds) && {
    retry_s_ = seconds;
    return std::move(*this);
  }
  /// invalid_request_error, not_found_error, rate_limit_error, … by the status.
  const char* type() const;
  /// The error object as JSON text, always valid UTF-8.
  std::string json() const;

 private:
  int status_;
  std::string param_, code_;
  std::optional<double> retry_s_;
};

/// Status 400 with a formatted message about field `param`.
template <typename... Args>
[[noreturn]] void refuse(const std::string& param, const char* code, fmt::format_string<Args...> format,
                         Args&&... args) {
  throw ApiError(400, fmt::format(format, std::forward<Args>(args)...), param, code);
}

}  // namespace tern
