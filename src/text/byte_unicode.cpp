#include "text/byte_unicode.h"

namespace tern {
namespace {

bool spells_itself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

// The last character that spells a byte is U+0143.
constexpr int kCharacters = 0x144;

struct Tables {
  std::array<uint16_t, 256> character_of;    // by byte
  std::array<int16_t, kCharacters> byte_of;  // by character, -1 where it spells none
  std::array<uint8_t, 256> order;
};

Tables make_tables() {
  Tables tables;
  tables.byte_of.fill(-1);
  uint16_t next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const uint16_t character = spells_itself(byte) ? static_cast<uint16_t>(byte) : next++;
    tables.character_of[byte] = character;
    tables.byte_of[character] = static_cast<int16_t>(byte);
  }
  size_t filled = 0;
  for (const int16_t byte : tables.byte_of) {
    if (byte >= 0) tables.order[filled++] = static_cast<uint8_t>(byte);
  }
  return tables;
}

const Tables& tables() {
  static const Tables made = make_tables();
  return made;
}

}  // namespace

const std::array<uint8_t, 256>& bytes_in_spelling_order() {
  return tables().order;
}

std::string spell_bytes(std::string_view bytes) {
  std::string spelling;
  spelling.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    const uint16_t character = tables().character_of[static_cast<uint8_t>(c)];
    if (character < 0x80) {
      spelling += static_cast<char>(character);
      continue;
    }
    spelling += static_cast<char>(0xC0 | (character >> 6));
    spelling += static_cast<char>(0x80 | (character & 0x3F));
  }
  return spelling;
}

std::optional<std::string> unspell_bytes(std::string_view spelling) {
  std::string bytes;
  bytes.reserve(spelling.size());
  for (size_t i = 0; i < spelling.size(); ++i) {
    int character = static_cast<uint8_t>(spelling[i]);
    if (character >= 0x80) {
      // All the characters have at most two bytes in UTF-8.
      if (character < 0xC2 || character > 0xDF || i + 1 == spelling.size()) return std::nullopt;
      const int low = static_cast<uint8_t>(spelling[++i]);
      if ((low & 0xC0) != 0x80) return std::nullopt;
      character = (character & 0x1F) << 6 | (low & 0x3F);
    }
    if (character >= kCharacters || tables().byte_of[character] < 0) return std::nullopt;
    bytes += static_cast<char>(tables().byte_of[character]);
  }
  return bytes;
}

}  // namespace tern
