#include "engine/prefix_cache.h"

#include <algorithm>
#include <bit>
#include <exception>
#include <random>

#include "base/error.h"
#include "base/rng.h"

namespace tern {

namespace {

constexpr int kPageTokens = PagedCache::kPageTokens;

}  // namespace

PrefixCache::PrefixCache(PagedCache& cache) : cache_(cache), seed_(std::random_device{}()) {
  const size_t pages = cache.shape().pages;
  try {
    heads_.assign(std::bit_ceil(pages + 1), kNone);
    tokens_.resize(pages * kPageTokens);
    parents_.assign(pages, kNone);
    children_.resize(pages);
    chain_.assign(pages, kNone);
    known_.resize(cache.shape().max_sequences);
    before_.assign(pages + 1, static_cast<int32_t>(pages));
    behind_.assign(pages + 1, static_cast<int32_t>(pages));
  } catch (const std::exception&) {
    fail(ErrorKind::limit, "cache: no memory for what is known of {} pages", pages);
  }
}

int PrefixCache::reuse(SequenceId sequence, std::span<const int32_t> next) {
  if (cache_.length(sequence) != known_[sequence] * kPageTokens) return 0;
  int reused = 0;
  while (next.size() - reused > kPageTokens) {
    const int32_t page = find(last_known(sequence), next.subspan(reused, kPageTokens));
    if (page == kNone) break;
    if (cache_.users(page) == 0) take_idle(page);
    cache_.share(sequence, page);
    ++known_[sequence];
    reused += kPageTokens;
  }
  return reused;
}

void PrefixCache::learn(SequenceId sequence, std::span<const int32_t> tokens) {
  for (int index = known_[sequence]; (index + 1) * kPageTokens <= static_cast<int>(tokens.size()); ++index) {
    const PageTokens in_page = tokens.subspan(static_cast<size_t>(index) * kPageTokens, kPageTokens);
    const int32_t parent = last_known(sequence), page = find(parent, in_page);
    if (page == kNone) {
      insert(cache_.pages(sequence)[index], parent, in_page);
    } else {
      if (cache_.users(page) == 0) take_idle(page);
      cache_.replace(sequence, index, page);
    }
    ++known_[sequence];
  }
}

/// The last pages first, so that a page is never idle for longer than those that go on from it.
void PrefixCache::release(SequenceId sequence) {
  const std::span<const int32_t> pages = cache_.pages(sequence);
  for (int index = known_[sequence]; index-- > 0;) {
    if (cache_.users(pages[index]) == 1) push_idle(pages[index]);
  }
  known_[sequence] = 0;
  cache_.truncate(sequence, 0);
}

void PrefixCache::make_room(int pages) {
  const auto ring = static_cast<int32_t>(cache_.shape().pages);
  while (cache_.free_pages() < pages && idle_ > 0) {
    const int32_t oldest = behind_[ring];
    take_idle(oldest);
    erase(oldest);
    cache_.drop(oldest);
  }
}

PrefixCache::PageTokens PrefixCache::tokens_of(int32_t page) const {
  return std::span(tokens_).subspan(static_cast<size_t>(page) * kPageTokens, kPageTokens);
}

int32_t PrefixCache::last_known(SequenceId sequence) const {
  return known_[sequence] == 0 ? kNone : cache_.pages(sequence)[known_[sequence] - 1];
}

size_t PrefixCache::bucket(int32_t parent, PageTokens tokens) const {
  uint64_t hash = seed_ ^ static_cast<uint64_t>(parent);
  for (const int32_t token : tokens) {
    hash ^= static_cast<uint64_t>(token);
    hash = splitmix64(hash);
  }
  return hash & (heads_.size() - 1);
}

int32_t PrefixCache::find(int32_t parent, PageTokens tokens) const {
  for (int32_t page = heads_[bucket(parent, tokens)]; page != kNone; page = chain_[page]) {
    if (parents_[page] == parent && std::ranges::equal(tokens_of(page), tokens)) return page;
  }
  return kNone;
}

void PrefixCache::insert(int32_t page, int32_t parent, PageTokens tokens) {
  std::ranges::copy(tokens, tokens_.begin() + static_cast<ptrdiff_t>(page) * kPageTokens);
  parents_[page] = parent;
  if (parent != kNone) ++children_[parent];
  int32_t& head = heads_[bucket(parent, tokens)];
  chain_[page] = head;
  head = page;
  cache_.keep(page);
}

void PrefixCache::erase(int32_t page) {
  int32_t* at = &heads_[bucket(parents_[page], tokens_of(page))];
  while (*at != page) at = &chain_[*at];
  *at = chain_[page];
  if (parents_[page] != kNone) --children_[parents_[page]];
}

void PrefixCache::push_idle(int32_t page) {
  const auto ring = static_cast<int32_t>(cache_.shape().pages);
  before_[page] = before_[ring];
  behind_[page] = ring;
  behind_[before_[ring]] = page;
  before_[ring] = page;
  ++idle_;
}

void PrefixCache::take_idle(int32_t page) {
  behind_[before_[page]] = behind_[page];
  before_[behind_[page]] = before_[page];
  --idle_;
}

void PrefixCache::check() const {
  const auto ring = static_cast<int32_t>(cache_.shape().pages);
  std::vector<char> idle(ring);
  std::vector<int32_t> children(ring);
  int32_t count = 0;
  for (int32_t page = behind_[ring]; page != ring && count <= idle_; page = behind_[page], ++count)
    idle[page] = 1;
  if (count != idle_) fail(ErrorKind::internal, "prefixes: {} idle pages, {} are counted", count, idle_);
  for (int32_t page = 0; page < ring; ++page) {
    if (!cache_.kept(page)) continue;
    if (parents_[page] != kNone) ++children[parents_[page]];
    const bool lost = find(parents_[page], tokens_of(page)) != page;
    const bool orphan = parents_[page] != kNone && !cache_.kept(parents_[page]);
    if (lost || orphan || (cache_.users(page) == 0) != static_cast<bool>(idle[page]))
      fail(ErrorKind::internal, "prefixes: page {} is {}", page,
           lost     ? "lost"
           : orphan ? "an orphan"
                    : "misplaced");
  }
  for (int32_t page = 0; page < ring; ++page) {
    if (cache_.kept(page) && children[page] != children_[page])
      fail(ErrorKind::internal, "prefixes: {} pages follow page {}, {} are counted", children[page], page,
           children_[page]);
  }
}

}  // namespace tern
