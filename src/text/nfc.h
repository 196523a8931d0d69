// Unicode's normalisation form C (Unicode Standard Annex 15).
#pragma once

#include <string>
#include <string_view>

namespace tern {

/// `text` in NFC. Bytes that are not part of well-formed UTF-8 stay, and nothing composes across them. Time
/// is linear but for runs of combining marks, which are sorted.
std::string to_nfc(std::string_view text);

}  // namespace tern
