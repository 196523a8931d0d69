// Token ids by their bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

namespace tern {

/// A hash table with open addressing that is filled once, at most half full. The bytes are the caller's and
/// must stay where they are.
class TokenTable {
 public:
  /// For at most `capacity` tokens.
  explicit TokenTable(size_t capacity) {
    size_t slots = 16;
    while (slots < capacity * 2) slots *= 2;
    slots_.resize(slots);
  }

  /// -1, or the id of the token that is there already and stays.
  int32_t insert(std::string_view token, int32_t id) {
    const uint32_t hash = hash_of(token);
    Slot& slot = slots_[slot_of(token, hash)];
    if (slot.id >= 0) return slot.id;
    slot = {hash, id, token};
    return -1;
  }

  /// -1 where there is none.
  int32_t find(std::string_view token) const { return slots_[slot_of(token, hash_of(token))].id; }

  /// Calls act(token, id) for all, in no order.
  template <typename Act>
  void each(Act act) const {
    for (const Slot& slot : slots_) {
      if (slot.id >= 0) act(slot.token, slot.id);
    }
  }

 private:
  struct Slot {
    uint32_t hash = 0;
    int32_t id = -1;
    std::string_view token;
  };

  static uint32_t hash_of(std::string_view token) {
    const size_t hash = std::hash<std::string_view>{}(token);
    return static_cast<uint32_t>(hash ^ hash >> 32);
  }

  // The slot that holds `token`, or the free one where it would go.
  size_t slot_of(std::string_view token, uint32_t hash) const {
    const size_t mask = slots_.size() - 1;
    size_t at = hash & mask;
    while (slots_[at].id >= 0 && (slots_[at].hash != hash || slots_[at].token != token)) at = (at + 1) & mask;
    return at;
  }

  std::vector<Slot> slots_;
};

}  // namespace tern
