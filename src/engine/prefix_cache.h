// Full pages of the cache that requests to come may begin with.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/cache.h"

namespace tern {

/// Knows pages by the tokens in them and the page before: a tree whose paths from the root are prefixes of
/// sequences. So two prefixes share a page only where every token is the same, whatever hashes say.
///
/// A page that some sequence holds stays; one that is only kept here may be dropped for another, the one that
/// was held longest ago first. Its memory is taken at construction. Belongs to one thread.
class PrefixCache {
 public:
  /// The cache must outlive it, and have no sequences yet. Throws Error{limit} where the memory can't be had.
  explicit PrefixCache(PagedCache& cache);

  /// Takes pages for a sequence all of whose pages are full and known: as many as are known of its next
  /// tokens, but for the last of them. Returns the tokens that are in them.
  int reuse(SequenceId sequence, std::span<const int32_t> next);
  /// The sequence begins with `tokens`, and whoever begins alike may have their rows. A page of it gives way
  /// to one that is known already.
  void learn(SequenceId sequence, std::span<const int32_t> tokens);
  /// Ends a sequence; what is known of it is kept while there is room.
  void release(SequenceId sequence);
  /// Drops pages until the cache has so many free ones, or none is left to drop.
  void make_room(int pages);
  /// Pages that are free or can be: all that no sequence holds.
  int available_pages() const { return cache_.free_pages() + idle_; }

  /// Throws Error{internal} where its bookkeeping contradicts itself or the cache's.
  void check() const;

 private:
  static constexpr int32_t kNone = -1;
  using PageTokens = std::span<const int32_t>;  ///< kPageTokens of them

  size_t bucket(int32_t parent, PageTokens tokens) const;
  int32_t find(int32_t parent, PageTokens tokens) const;
  PageTokens tokens_of(int32_t page) const;
  int32_t last_known(SequenceId sequence) const;
  void insert(int32_t page, int32_t parent, PageTokens tokens);
  void erase(int32_t page);
  void push_idle(int32_t page);
  void take_idle(int32_t page);

  PagedCache& cache_;
  uint64_t seed_;                  ///< of the hashes, so that nobody can make them collide
  std::vector<int32_t> heads_;     ///< of the buckets' lists
  std::vector<int32_t> tokens_;    ///< {pages, kPageTokens}
  std::vector<int32_t> parents_;   ///< per page; kNone: it begins a sequence
  std::vector<int32_t> children_;  ///< per page: how many known ones go on from it
  std::vector<int32_t> chain_;     ///< per page: the next of its bucket
  std::vector<int32_t> known_;     ///< per sequence: its first pages that are known
  /// The idle pages as a ring, in the order they became so; its head is the number of pages.
  std::vector<int32_t> before_, behind_;
  int idle_ = 0;
};

}  // namespace tern
