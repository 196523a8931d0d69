// The one exception type of tern: what went wrong, where, and what was expected.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace tern {

enum class ErrorKind {
  bad_input,    ///< a file, request or argument that breaks its format's rules
  unsupported,  ///< well formed, but tern does not run it; the message names the feature
  limit,        ///< larger than what tern accepts
  io,           ///< the operating system said no
  internal,     ///< a bug in tern
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

/// Throws Error with a formatted message: fail(ErrorKind::bad_input, "{}: expected {}, found {}", where,
/// ...).
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(kind, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace tern
