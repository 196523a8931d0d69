#include "model/batch_plan.h"

#include <algorithm>

#include "base/error.h"

namespace tern {

BatchPlan::BatchPlan(size_t max_tokens) : max_tokens_(max_tokens) {
  pieces_.reserve(max_tokens);
  piece_of_.resize(max_tokens);
  order_.resize(max_tokens);
  wanted_.reserve(max_tokens);
}

size_t BatchPlan::find_piece(SequenceId sequence) const {
  // Tokens of a sequence usually stand together.
  for (size_t i = pieces_.size(); i > 0; --i) {
    if (pieces_[i - 1].sequence == sequence) return i - 1;
  }
  return pieces_.size();
}

void BatchPlan::group(std::span<const BatchToken> batch, const PagedCache& cache, int vocab, int cut) {
  if (batch.empty() || batch.size() > max_tokens_) {
    fail(ErrorKind::bad_input, "batch: expected 1 to {} tokens, found {}", max_tokens_, batch.size());
  }
  batch_ = batch;
  pieces_.clear();
  for (size_t i = 0; i < batch.size(); ++i) {
    const BatchToken& token = batch[i];
    if (token.token < 0 || token.token >= vocab) {
      fail(ErrorKind::bad_input, "batch: token id {} is not in the vocabulary of {}", token.token, vocab);
    }
    if (token.sequence < 0 || token.sequence >= cache.shape().max_sequences) {
      fail(ErrorKind::bad_input, "batch: sequence {} is not among the cache's {}", token.sequence,
           cache.shape().max_sequences);
    }
    if (token.position < 0 || token.position >= cache.length(token.sequence)) {
      fail(ErrorKind::bad_input, "batch: position {} of sequence {} has no room, its cache holds {} tokens",
           token.position, token.sequence, cache.length(token.sequence));
    }
    size_t piece = find_piece(token.sequence);
    const bool begins = piece == pieces_.size();
    if (!begins && token.position != pieces_[piece].end()) {
      fail(ErrorKind::bad_input, "batch: sequence {} goes on at position {}, expected {}", token.sequence,
           token.position, pieces_[piece].end());
    }
    if (begins || token.position == cut) {
      piece = pieces_.size();
      pieces_.push_back(
          {.sequence = token.sequence, .position = token.position, .generated = token.generated});
    }
    ++pieces_[piece].count;
    piece_of_[i] = static_cast<uint32_t>(piece);
  }
}

void BatchPlan::arrange() {
  size_t next = 0;
  for (const bool absorbed : {true, false}) {
    for (Piece& piece : pieces_) {
      if (piece.absorbed != absorbed) continue;
      piece.first = next;
      next += piece.count;
    }
    if (absorbed) absorbed_tokens_ = next;
  }
  wanted_.clear();
  for (size_t i = 0; i < batch_.size(); ++i) {
    const Piece& piece = pieces_[piece_of_[i]];
    const size_t index = piece.first + static_cast<size_t>(batch_[i].position - piece.position);
    order_[index] = static_cast<uint32_t>(i);
    if (batch_[i].wants_logits) wanted_.push_back(static_cast<uint32_t>(index));
  }
}

}  // namespace tern
