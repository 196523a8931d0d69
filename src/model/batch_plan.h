// A batch sorted into pieces of sequences, so that a family's forward works on contiguous tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/cache.h"
#include "model/model.h"

namespace tern {

/// The tokens that one sequence brings to a batch.
struct Piece {
  SequenceId sequence = 0;
  int position = 0;  ///< of its first token
  size_t count = 0;
  size_t first = 0;        ///< index of its first token in the plan's order
  bool generated = false;  ///< its first token is
  bool absorbed = false;   ///< which way through attention

  int64_t end() const { return position + static_cast<int64_t>(count); }
};

/// Built anew for each forward pass; memory is taken once.
class BatchPlan {
 public:
  explicit BatchPlan(size_t max_tokens);

  /// Checks the batch and finds its pieces. Throws Error{bad_input}: no or too many tokens, ids out of range,
  /// positions that are not contiguous within a sequence or have no room in the cache. A piece that reaches
  /// over position `cut` becomes two.
  void group(std::span<const BatchToken> batch, const PagedCache& cache, int vocab, int cut);
  /// Orders the tokens: absorbed pieces first, each piece's tokens together. Call after setting
  /// Piece::absorbed.
  void arrange();

  std::span<Piece> pieces() { return pieces_; }
  std::span<const Piece> pieces() const { return pieces_; }
  size_t tokens() const { return batch_.size(); }
  size_t absorbed_tokens() const { return absorbed_tokens_; }  ///< they come first
  const BatchToken& token(size_t index) const { return batch_[order_[index]]; }
  size_t place(size_t index) const { return order_[index]; }  ///< in the batch
  /// Plan indices of the tokens that want logits, in the order of the batch.
  std::span<const uint32_t> wanted() const { return wanted_; }

 private:
  size_t find_piece(SequenceId sequence) const;

  size_t max_tokens_;
  std::span<const BatchToken> batch_;
  std::vector<Piece> pieces_;
  std::vector<uint32_t> piece_of_;  ///< {tokens}, by place in the batch
  std::vector<uint32_t> order_;     ///< {tokens}: plan index to place in the batch
  std::vector<uint32_t> wanted_;
  size_t absorbed_tokens_ = 0;
};

}  // namespace tern
