#include "text/piece_encoder.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "text/utf8.h"

namespace tern {
namespace {

constexpr int32_t kMerged = -1;
constexpr int32_t kNoToken = -2;  // a character that merges with nothing and comes out as bytes
constexpr size_t kFew = 48;       // up to here looking through all pairs is quicker than a heap

}  // namespace

void PieceEncoder::encode(std::string_view piece, std::vector<int32_t>& ids) {
  if (piece.size() > static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
    fail(ErrorKind::limit, "tokenizer: a piece of {} bytes", piece.size());
  }
  cut(piece);
  if (links_.size() <= kFew) {
    merge_few();
  } else {
    merge_many();
  }
  give(piece, ids);
}

void PieceEncoder::cut(std::string_view piece) {
  links_.clear();
  for (size_t at = 0; at < piece.size();) {
    const auto i = static_cast<int32_t>(links_.size());
    size_t bytes = 1;
    int32_t id = rules_.byte_ids[static_cast<uint8_t>(piece[at])];
    if (rules_.by_character) {
      const Utf8Step step = utf8_step(piece.substr(at));
      if (step.kind == Utf8Kind::character) bytes = step.bytes;
      const auto found = rules_.characters.find(piece.substr(at, bytes));
      id = found != rules_.characters.end() ? found->second : kNoToken;
    }
    if (i > 0) rules_.table.prefetch(links_.back().id, id);
    links_.push_back({id, static_cast<int32_t>(at), i - 1, i + 1});
    at += bytes;
  }
  if (!links_.empty()) links_.back().next = -1;
}

// Keeps the links side by side: the pair to merge is looked for among all.
void PieceEncoder::merge_few() {
  const Merge* merges[kFew];
  size_t n = links_.size();
  const auto look = [&](size_t i) {
    merges[i] = i + 1 < n ? rules_.table.find(links_[i].id, links_[i + 1].id) : nullptr;
  };
  for (size_t i = 0; i < n; ++i) look(i);
  for (;;) {
    size_t best = n;
    for (size_t i = 0; i < n; ++i) {
      if (merges[i] && (best == n || merges[i]->rank < merges[best]->rank)) best = i;
    }
    if (best == n) break;
    links_[best].id = merges[best]->id;
    --n;
    for (size_t i = best + 1; i < n; ++i) {
      links_[i] = links_[i + 1];
      merges[i] = merges[i + 1];
    }
    look(best);
    if (best > 0) look(best - 1);
  }
  links_.resize(n);
  for (size_t i = 0; i < n; ++i) links_[i].next = i + 1 < n ? static_cast<int32_t>(i + 1) : -1;
}

void PieceEncoder::merge_many() {
  for (int32_t i = 0; i + 1 < static_cast<int32_t>(links_.size()); ++i) consider(i);
  while (!candidates_.empty()) {
    std::pop_heap(candidates_.begin(), candidates_.end());
    const Candidate best = candidates_.back();
    candidates_.pop_back();
    if (still_there(best)) merge(best);
  }
}

void PieceEncoder::consider(int32_t left) {
  const int32_t right = links_[left].next;
  if (right < 0) return;
  const Merge* merge = rules_.table.find(links_[left].id, links_[right].id);
  if (!merge) return;
  candidates_.push_back({merge->rank, left, merge->pair, merge->id});
  std::push_heap(candidates_.begin(), candidates_.end());
}

bool PieceEncoder::still_there(const Candidate& candidate) const {
  const Link& left = links_[candidate.left];
  return left.id != kMerged && left.next >= 0 && token_pair(left.id, links_[left.next].id) == candidate.pair;
}

void PieceEncoder::merge(const Candidate& best) {
  Link& left = links_[best.left];
  Link& right = links_[left.next];
  left.id = best.id;
  left.next = right.next;
  right.id = kMerged;
  if (left.next >= 0) links_[left.next].previous = best.left;
  if (left.previous >= 0) consider(left.previous);
  consider(best.left);
}

void PieceEncoder::give(std::string_view piece, std::vector<int32_t>& ids) const {
  if (links_.empty()) return;
  for (int32_t i = 0; i >= 0; i = links_[i].next) {
    const Link& link = links_[i];
    if (link.id != kNoToken) {
      ids.push_back(link.id);
      continue;
    }
    const size_t begin = static_cast<size_t>(link.begin);
    const size_t end = link.next < 0 ? piece.size() : static_cast<size_t>(links_[link.next].begin);
    for (size_t at = begin; at < end; ++at) {
      ids.push_back(rules_.byte_ids[static_cast<uint8_t>(piece[at])]);
    }
  }
}

}  // namespace tern
