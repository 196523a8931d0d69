#include <array>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "tasks/search/world.h"

namespace tern::search {

EditPattern::EditPattern(std::string_view word) : size_(static_cast<int>(word.size())) {
  if (word.size() > 64) fail(ErrorKind::limit, "edit distance: {} letters, expected at most 64", word.size());
  for (size_t i = 0; i < word.size(); ++i) match_[static_cast<uint8_t>(word[i])] |= uint64_t{1} << i;
}

int EditPattern::distance(std::string_view other) const {
  if (size_ == 0) return static_cast<int>(other.size());
  const uint64_t last = uint64_t{1} << (size_ - 1);
  uint64_t vp = ~uint64_t{0}, vn = 0, d0 = 0, previous = 0;
  int distance = size_;
  for (const char c : other) {
    const uint64_t pm = match_[static_cast<uint8_t>(c)];
    const uint64_t swapped = (((~d0) & pm) << 1) & previous;
    d0 = swapped | (((pm & vp) + vp) ^ vp) | pm | vn;
    uint64_t hp = vn | ~(d0 | vp);
    const uint64_t hn = d0 & vp;
    if (hp & last) ++distance;
    if (hn & last) --distance;
    hp = (hp << 1) | 1;
    vp = (hn << 1) | ~(d0 | hp);
    vn = d0 & hp;
    previous = pm;
  }
  return distance;
}

uint32_t letter_set(std::string_view word) {
  uint32_t letters = 0;
  for (const char c : word) letters |= 1u << (static_cast<uint8_t>(c) & 31);
  return letters;
}

int edit_distance(std::string_view a, std::string_view b) {
  return EditPattern(a).distance(b);
}

}  // namespace tern::search
