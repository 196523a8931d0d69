// Names from untrusted files, made fit for an error message.
#pragma once

#include <string>
#include <string_view>

namespace tern {

/// 'name' with everything but printable ASCII as \xNN, cut after 80 bytes ("…" says so).
std::string printable(std::string_view name);

}  // namespace tern
