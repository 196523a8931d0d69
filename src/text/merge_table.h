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
/// reads; for most pairs that don't merge it is one of a bit in a table small enough for a core's own cache.
class MergeTable {
 public:
  /// For at most `capacity` pairs.
  explicit MergeTable(size_t capacity) {
    size_t slots = 16;
    while (slots < capacity * 2) slots *= 2;
    slots_.assign(slots, Merge{0, -1, -1});
    may_merge_.assign((size_t{1} << kFilterBits) / 64, 0);
  }

  /// False where the pair is there already; the first rank stays.
  bool insert(const Merge& merge) {
    Merge& slot = slots_[slot_of(merge.pair)];
    if (slot.rank >= 0) return false;
    slot = merge;
    const uint64_t bit = filter_bit(merge.pair);
    may_merge_[bit / 64] |= uint64_t{1} << bit % 64;
    return true;
  }

  /// Null where the two don't merge.
  const Merge* find(int32_t left, int32_t right) const {
    const uint64_t pair = token_pair(left, right), bit = filter_bit(pair);
    if (!(may_merge_[bit / 64] >> bit % 64 & 1)) return nullptr;
    const Merge& slot = slots_[slot_of(pair)];
    return slot.rank >= 0 ? &slot : nullptr;
  }

  /// Brings near what find() will read.
  void prefetch(int32_t left, int32_t right) const {
    __builtin_prefetch(&slots_[first_slot(token_pair(left, right))]);
  }

 private:
  static constexpr int kFilterBits = 21;

  static uint64_t hash_of(uint64_t pair) { return pair * 0x9E3779B97F4A7C15u; }
  static uint64_t filter_bit(uint64_t pair) { return hash_of(pair) >> (64 - kFilterBits); }

  size_t first_slot(uint64_t pair) const {
    return static_cast<size_t>(hash_of(pair) >> 24) & (slots_.size() - 1);
  }

  // The slot that holds `pair`, or the free one where it would go.
  size_t slot_of(uint64_t pair) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = first_slot(pair);
    while (slots_[slot].rank >= 0 && slots_[slot].pair != pair) slot = (slot + 1) & mask;
    return slot;
  }

  std::vector<Merge> slots_;
  std::vector<uint64_t> may_merge_;  // a bit that is off: no pair with this hash
};

}  // namespace tern
