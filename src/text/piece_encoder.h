// Merges the symbols of one piece of text by rank: what BPE is, whatever the symbols are.
#pragma once

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/merge_table.h"

namespace tern {

/// What a tokenizer merges, and from what.
struct MergeRules {
  explicit MergeRules(size_t merges) : table(merges) {}

  MergeTable table;
  int32_t byte_ids[256] = {};  ///< bpe: what a byte is before any merge; spm: what stands for a byte
  bool by_character = false;   ///< spm: the symbols are characters
  std::unordered_map<std::string_view, int32_t> characters;  ///< spm: those that are tokens
};

/// The lowest rank first, of equal ones the leftmost, until no two neighbours merge. Its buffers live on
/// between pieces.
class PieceEncoder {
 public:
  explicit PieceEncoder(const MergeRules& rules) : rules_(rules) {}

  /// Appends the ids of `piece`. O(n log n). Throws Error{limit} from 2 GiB.
  void encode(std::string_view piece, std::vector<int32_t>& ids);

 private:
  // One link of the list of symbols that a piece is at the moment.
  struct Link {
    int32_t id;              // kMerged once merged into its left neighbour
    int32_t begin;           // byte of the piece
    int32_t previous, next;  // -1 at the ends
  };
  // A merge that may still be possible: `left` and its next link were a known pair when it was noted.
  struct Candidate {
    int32_t rank;
    int32_t left;
    uint64_t pair;
    int32_t id;

    // The lowest rank first, then the leftmost.
    bool operator<(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };

  void cut(std::string_view piece);
  void merge_few();
  void merge_many();
  void consider(int32_t left);
  bool still_there(const Candidate& candidate) const;
  void merge(const Candidate& best);
  void give(std::string_view piece, std::vector<int32_t>& ids) const;

  const MergeRules& rules_;
  std::vector<Link> links_;
  std::vector<Candidate> candidates_;  // a heap
};

}  // namespace tern
