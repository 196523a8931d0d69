// Which two neighbouring tokens merge into which one, and how early: the heart of BPE, by token ids.
#pragma once

#include <cstdint>
#include <vector>

namespace tern {

struct Merge {
  uint64_t pair;  ///< left id in the upper, right id in the lower half
  int32_t rank;   ///< the smaller merges first
  int32_t id;     ///< the token that results
};

inline uint64_t token_pair(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

/// A hash table with open addressing that is filled once. At most half full, so a look-up is one or two
/// reads.
class MergeTable {
 public:
  /// For at most `capacity` pairs.
  explicit MergeTable(size_t capacity) {
    size_t slots = 16;
    while (slots < capacity * 2) slots *= 2;
    slots_.assign(slots, Merge{0, -1, -1});
  }

  /// False where the pair is there already; the first rank stays.
  bool insert(const Merge& merge) {
    Merge& slot = slots_[slot_of(merge.pair)];
    if (slot.rank >= 0) return false;
    slot = merge;
    return true;
  }

  /// Null where the two don't merge.
  const Merge* find(int32_t left, int32_t right) const {
    const Merge& slot = slots_[slot_of(token_pair(left, right))];
    return slot.rank >= 0 ? &slot : nullptr;
  }

 private:
  // The slot that holds `pair`, or the free one where it would go.
  size_t slot_of(uint64_t pair) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = static_cast<size_t>((pair * 0x9E3779B97F4A7C15u) >> 32) & mask;
    while (slots_[slot].rank >= 0 && slots_[slot].pair != pair) slot = (slot + 1) & mask;
    return slot;
  }

  std::vector<Merge> slots_;
};

}  // namespace tern
