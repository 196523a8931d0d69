#include "files/printable.h"

#include <fmt/format.h>

namespace tern {

std::string printable(std::string_view name) {
  constexpr size_t most = 80;
  std::string text = "'";
  for (const char c : name.substr(0, most)) {
    if (c >= 0x20 && c < 0x7f) {
      text += c;
    } else {
      text += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  text += name.size() > most ? "…'" : "'";
  return text;
}

}  // namespace tern
