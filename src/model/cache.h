// What a model keeps of the tokens it has seen, in pages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/memory.h"
#include "model/key_value_page.h"

namespace tern {

using SequenceId = int32_t;

/// A page holds kPageTokens tokens for every layer; how they lie in it is the model's affair (KeyValuePage).
/// The memory is taken once, at construction.
///
/// Whole pages may be held by several sequences that begin alike, and kept for sequences to come; nobody
/// writes them any more.
class PagedCache {
 public:
  static constexpr int kPageTokens = KeyValuePage::kPageTokens;

  struct Shape {
    int layers = 0;
    uint64_t layer_bytes = 0;  ///< of a page for one layer, a multiple of 64
    int pages = 0;
    int max_sequences = 0;  ///< ids 0 .. max_sequences - 1
    int max_tokens = 0;     ///< of one sequence
  };
  /// Throws Error{limit} where the memory can't be had.
  explicit PagedCache(const Shape& shape);

  const Shape& shape() const { return shape_; }
  int free_pages() const { return static_cast<int>(free_.size()); }
  /// What a cache of this shape takes. Throws Error{limit} for a shape that can't be.
  static uint64_t bytes_for(const Shape& shape);
  static int pages_for(int tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

  int length(SequenceId sequence) const { return lengths_[sequence]; }
  /// Makes room for `tokens` more. False, and nothing changed, where the pages or max_tokens don't suffice.
  bool extend(SequenceId sequence, int tokens);
  /// Keeps the first n tokens; pages that nobody else holds become free. truncate(s, 0) forgets the sequence.
  /// Throws Error{internal} where n cuts a page in two that others hold.
  void truncate(SequenceId sequence, int n);

  /// The pages of a sequence, in order.
  std::span<const int32_t> pages(SequenceId sequence) const { return tables_[sequence]; }
  /// The sequences that hold a page.
  int users(int32_t page) const { return users_[page]; }
  bool kept(int32_t page) const { return kept_[page] != 0; }
  /// A kept page that no sequence holds does not become free until it is dropped.
  void keep(int32_t page) { kept_[page] = 1; }
  void drop(int32_t page);
  /// The sequence, all of whose pages are full, goes on with a full page that others hold or that is kept.
  void share(SequenceId sequence, int32_t page);
  /// A sequence's full page gives way to one with the same rows.
  void replace(SequenceId sequence, int index, int32_t page);

  /// {layer_bytes}: a layer's part of the page that holds `position`.
  std::byte* page(int layer, SequenceId sequence, int position);
  const std::byte* page(int layer, SequenceId sequence, int position) const;

  /// Throws Error{internal} where the pages' bookkeeping contradicts itself.
  void check() const;

 private:
  Shape shape_;
  ZeroedMemory memory_;                       ///< {pages, layers, layer_bytes}
  std::vector<std::vector<int32_t>> tables_;  ///< per sequence: its pages in order
  std::vector<int> lengths_;
  std::vector<int32_t> users_;  ///< per page: sequences that hold it
  std::vector<char> kept_;      ///< per page
  std::vector<int32_t> free_;

  void release(int32_t page);
};

}  // namespace tern
