// Tests of what goes wrong: the kind of the error and that its message names the thing.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/error.h"

namespace tern {

/// Fails unless call() throws an Error of `kind` whose message contains every one of `mentions`.
template <typename Mentions, typename Call>
void expect_error_range(ErrorKind kind, const Mentions& mentions, Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    const std::string message = error.what();
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(kind)) << message;
    for (const auto& mention : mentions) {
      EXPECT_NE(message.find(mention), std::string::npos) << "no \"" << mention << "\" in: " << message;
    }
    return;
  }
  ADD_FAILURE() << "no error";
}

template <typename Call>
void expect_error(ErrorKind kind, std::initializer_list<std::string_view> mentions, Call&& call) {
  expect_error_range(kind, mentions, call);
}

}  // namespace tern
