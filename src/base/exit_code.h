// What tern's programs exit with: 0 done, 1 failed, 2 wrong usage, 3 a file or input that tern can't read or
// run. `tern --help` prints it.
#pragma once

#include "base/error.h"

namespace tern {

inline int exit_code(ErrorKind kind) {
  return kind == ErrorKind::bad_input || kind == ErrorKind::unsupported ? 3 : 1;
}

}  // namespace tern
