// Short pieces and their ids, as long as one text is encoded: words come again.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string_view>
#include <vector>

namespace tern {

/// A table in which a newer piece takes the place of an older one with the same hash; 256 KiB.
class PieceCache {
 public:
  PieceCache() : entries_(kEntries) {}

  /// Appends the ids of `piece` where they are known.
  bool find(std::string_view piece, std::vector<int32_t>& ids) const {
    if (piece.size() > kBytes) return false;
    const Entry& entry = entries_[slot_of(piece)];
    if (entry.size != piece.size() || std::memcmp(entry.bytes, piece.data(), piece.size()) != 0) return false;
    ids.insert(ids.end(), entry.ids.begin(), entry.ids.begin() + entry.count);
    return true;
  }

  void keep(std::string_view piece, const int32_t* ids, size_t count) {
    if (piece.size() > kBytes || count > kIds) return;
    Entry& entry = entries_[slot_of(piece)];
    entry.size = static_cast<uint8_t>(piece.size());
    entry.count = static_cast<uint8_t>(count);
    std::memcpy(entry.bytes, piece.data(), piece.size());
    std::memcpy(entry.ids.data(), ids, count * sizeof(int32_t));
  }

 private:
  static constexpr size_t kEntries = 4096, kBytes = 30, kIds = 8;

  struct Entry {
    uint8_t size = 0;  // no piece is empty
    uint8_t count = 0;
    char bytes[kBytes];
    std::array<int32_t, kIds> ids;
  };

  static size_t slot_of(std::string_view piece) { return std::hash<std::string_view>{}(piece) % kEntries; }

  std::vector<Entry> entries_;
};

}  // namespace tern
