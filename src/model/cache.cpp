#include "model/cache.h"

#include <new>

#include "base/checked.h"

namespace tern {

namespace {

uint64_t bytes_needed(const PagedCache::Shape& shape) {
  if (shape.layers < 1 || shape.layer_bytes < 1 || shape.pages < 0 || shape.max_sequences < 1 ||
      shape.max_tokens < 1) {
    fail(ErrorKind::limit,
         "cache: expected positive sizes, found {} layers of {} bytes, {} pages, {} sequences of {} tokens",
         shape.layers, shape.layer_bytes, shape.pages, shape.max_sequences, shape.max_tokens);
  }
  return checked_mul(checked_mul(shape.pages, shape.layers, "cache"), shape.layer_bytes, "cache");
}

}  // namespace

uint64_t PagedCache::bytes_for(const Shape& shape) {
  return bytes_needed(shape);
}

PagedCache::PagedCache(const Shape& shape) : shape_(shape) {
  const uint64_t bytes = bytes_needed(shape);
  try {
    memory_ = ZeroedMemory(bytes);
    tables_.resize(shape.max_sequences);
    lengths_.resize(shape.max_sequences);
    users_.resize(shape.pages);
    kept_.resize(shape.pages);
    free_.reserve(shape.pages);
  } catch (const std::exception&) {
    fail(ErrorKind::limit, "cache: {} pages need {} bytes, which this machine does not have", shape.pages,
         bytes);
  }
  for (int page = shape.pages - 1; page >= 0; --page) free_.push_back(page);
}

bool PagedCache::extend(SequenceId sequence, int tokens) {
  if (tokens < 0 || tokens > shape_.max_tokens - lengths_[sequence]) return false;
  auto& table = tables_[sequence];
  const int length = lengths_[sequence] + tokens;
  const int more = pages_for(length) - static_cast<int>(table.size());
  if (more > free_pages()) return false;
  for (int i = 0; i < more; ++i) {
    table.push_back(free_.back());
    users_[free_.back()] = 1;
    free_.pop_back();
  }
  lengths_[sequence] = length;
  return true;
}

void PagedCache::truncate(SequenceId sequence, int n) {
  if (n < 0 || n >= lengths_[sequence]) return;
  auto& table = tables_[sequence];
  if (n % kPageTokens != 0) {
    const int32_t cut = table[n / kPageTokens];
    if (users_[cut] > 1 || kept_[cut])
      fail(ErrorKind::internal, "cache: sequence {} can't end at {}, others hold the page", sequence, n);
  }
  while (static_cast<int>(table.size()) > pages_for(n)) {
    release(table.back());
    table.pop_back();
  }
  lengths_[sequence] = n;
}

/// One user less.
void PagedCache::release(int32_t page) {
  if (--users_[page] == 0 && !kept_[page]) free_.push_back(page);
}

void PagedCache::drop(int32_t page) {
  if (!kept_[page]) return;
  kept_[page] = 0;
  if (users_[page] == 0) free_.push_back(page);
}

void PagedCache::share(SequenceId sequence, int32_t page) {
  auto& table = tables_[sequence];
  const bool full = lengths_[sequence] == static_cast<int>(table.size()) * kPageTokens;
  if (!full || (users_[page] == 0 && !kept_[page]) || lengths_[sequence] + kPageTokens > shape_.max_tokens)
    fail(ErrorKind::internal, "cache: sequence {} of {} tokens can't go on with page {}", sequence,
         lengths_[sequence], page);
  table.push_back(page);
  ++users_[page];
  lengths_[sequence] += kPageTokens;
}

void PagedCache::replace(SequenceId sequence, int index, int32_t page) {
  int32_t& own = tables_[sequence][index];
  if (own == page) return;
  ++users_[page];
  release(own);
  own = page;
}

const std::byte* PagedCache::page(int layer, SequenceId sequence, int position) const {
  const size_t page = tables_[sequence][position / kPageTokens];
  return memory_.data() + (page * shape_.layers + layer) * shape_.layer_bytes;
}

std::byte* PagedCache::page(int layer, SequenceId sequence, int position) {
  return const_cast<std::byte*>(static_cast<const PagedCache*>(this)->page(layer, sequence, position));
}

void PagedCache::check() const {
  std::vector<int32_t> users(shape_.pages);
  std::vector<char> free(shape_.pages);
  const auto on_page = [&](int32_t page, const char* who) {
    if (page < 0 || page >= shape_.pages)
      fail(ErrorKind::internal, "cache: {} holds page {} of {}", who, page, shape_.pages);
  };
  for (const int32_t page : free_) {
    on_page(page, "the free list");
    if (free[page]) fail(ErrorKind::internal, "cache: page {} is free twice", page);
    free[page] = 1;
  }
  for (int s = 0; s < shape_.max_sequences; ++s) {
    const int length = lengths_[s];
    if (length < 0 || length > shape_.max_tokens ||
        pages_for(length) != static_cast<int>(tables_[s].size())) {
      fail(ErrorKind::internal, "cache: sequence {} has {} tokens in {} pages", s, length, tables_[s].size());
    }
    for (const int32_t page : tables_[s]) {
      on_page(page, "a sequence");
      ++users[page];
    }
  }
  for (int32_t page = 0; page < shape_.pages; ++page) {
    const bool held = users[page] > 0 || kept_[page];
    if (users[page] != users_[page] || held == static_cast<bool>(free[page])) {
      fail(ErrorKind::internal, "cache: page {} has {} users, {} are counted; it is {}kept and {}free", page,
           users[page], users_[page], kept_[page] ? "" : "not ", free[page] ? "" : "not ");
    }
  }
}

}  // namespace tern
