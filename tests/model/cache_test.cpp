#include "model/cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/rng.h"

namespace tern {
namespace {

TEST(PagedCache, GivesPagesAsTheyAreNeededAndTakesThemBack) {
  PagedCache cache({.layers = 2, .layer_bytes = 384, .pages = 4, .max_sequences = 3, .max_tokens = 100});
  EXPECT_EQ(cache.free_pages(), 4);
  EXPECT_TRUE(cache.extend(0, 32));
  EXPECT_EQ(cache.free_pages(), 3);
  EXPECT_TRUE(cache.extend(0, 1));
  EXPECT_EQ(cache.free_pages(), 2);
  EXPECT_EQ(cache.length(0), 33);
  cache.truncate(0, 32);
  EXPECT_EQ(cache.free_pages(), 3);
  cache.truncate(0, 40);  // longer than it is: nothing
  EXPECT_EQ(cache.length(0), 32);
  cache.truncate(0, 0);
  EXPECT_EQ(cache.free_pages(), 4);
  cache.check();
}

TEST(PagedCache, ChangesNothingWherePagesOrTokensDoNotSuffice) {
  PagedCache cache({.layers = 1, .layer_bytes = 128, .pages = 3, .max_sequences = 2, .max_tokens = 70});
  ASSERT_TRUE(cache.extend(0, 40));
  EXPECT_FALSE(cache.extend(1, 33));  // two pages, one is left
  EXPECT_EQ(cache.length(1), 0);
  EXPECT_EQ(cache.free_pages(), 1);
  EXPECT_FALSE(cache.extend(0, 31));  // beyond max_tokens
  EXPECT_FALSE(cache.extend(0, std::numeric_limits<int>::max()));
  EXPECT_FALSE(cache.extend(0, -1));
  EXPECT_EQ(cache.length(0), 40);
  EXPECT_TRUE(cache.extend(0, 30));
  cache.check();
}

TEST(PagedCache, PagesAreApart) {
  constexpr int kLayers = 3, kBytes = 640;
  PagedCache cache(
      {.layers = kLayers, .layer_bytes = kBytes, .pages = 6, .max_sequences = 2, .max_tokens = 96});
  // Interleaved growth, so that pages of both sequences alternate.
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(cache.extend(0, 30));
    ASSERT_TRUE(cache.extend(1, 30));
  }
  const auto for_all = [&](const auto& visit) {
    uint8_t value = 1;
    for (int s = 0; s < 2; ++s) {
      for (int l = 0; l < kLayers; ++l) {
        for (int p = 0; p < 90; p += PagedCache::kPageTokens) visit(cache.page(l, s, p), value++);
      }
    }
  };
  for_all([&](std::byte* page, uint8_t value) { std::memset(page, value, kBytes); });
  for_all([&](const std::byte* page, uint8_t value) {
    EXPECT_EQ(std::count(page, page + kBytes, std::byte{value}), kBytes);
  });
  EXPECT_EQ(cache.page(1, 0, 32), cache.page(1, 0, 63));  // a page's tokens have it together
}

TEST(PagedCache, SharedPagesAreFreeWhenTheLastHolderLeaves) {
  PagedCache cache({.layers = 1, .layer_bytes = 128, .pages = 4, .max_sequences = 3, .max_tokens = 100});
  ASSERT_TRUE(cache.extend(0, 40));
  const int32_t page = cache.pages(0)[0];
  *cache.page(0, 0, 31) = std::byte{7};
  cache.share(1, page);
  EXPECT_EQ(cache.length(1), 32);
  EXPECT_EQ(*cache.page(0, 1, 31), std::byte{7});
  EXPECT_EQ(cache.users(page), 2);
  cache.check();
  EXPECT_THROW(cache.truncate(0, 20), Error);  // others read what would be written there
  cache.keep(page);
  cache.truncate(0, 0);
  cache.truncate(1, 0);
  EXPECT_EQ(cache.free_pages(), 3);
  cache.check();
  cache.share(2, page);  // kept, so it can be had again
  EXPECT_EQ(*cache.page(0, 2, 31), std::byte{7});
  cache.drop(page);
  EXPECT_EQ(cache.free_pages(), 3);
  cache.truncate(2, 0);
  EXPECT_EQ(cache.free_pages(), 4);
  EXPECT_THROW(cache.share(0, page), Error);  // nobody holds it
  cache.check();
}

TEST(PagedCache, OnlyWholePagesAreShared) {
  PagedCache cache({.layers = 1, .layer_bytes = 128, .pages = 4, .max_sequences = 2, .max_tokens = 64});
  ASSERT_TRUE(cache.extend(0, 64));
  ASSERT_TRUE(cache.extend(1, 5));
  EXPECT_THROW(cache.share(1, cache.pages(0)[1]), Error);
  ASSERT_TRUE(cache.extend(1, 27));
  cache.share(1, cache.pages(0)[1]);
  EXPECT_THROW(cache.share(1, cache.pages(0)[0]), Error);  // beyond max_tokens
  const int32_t own = cache.pages(1)[0];
  cache.replace(1, 0, cache.pages(0)[0]);
  EXPECT_EQ(cache.users(own), 0);
  EXPECT_EQ(cache.free_pages(), 2);
  cache.check();
}

TEST(PagedCache, HoldsTogetherUnderRandomUse) {
  constexpr int kSequences = 5, kMost = 200, kPages = 20;
  PagedCache cache(
      {.layers = 1, .layer_bytes = 128, .pages = kPages, .max_sequences = kSequences, .max_tokens = kMost});
  std::vector<int> lengths(kSequences);
  Rng rng(3);
  for (int step = 0; step < 5000; ++step) {
    const int s = static_cast<int>(rng.below(kSequences));
    if (rng.chance(0.6)) {
      const int more = static_cast<int>(rng.below(50));
      int pages = 0;
      for (int i = 0; i < kSequences; ++i) pages += PagedCache::pages_for(lengths[i] + (i == s ? more : 0));
      const bool fits = lengths[s] + more <= kMost && pages <= kPages;
      ASSERT_EQ(cache.extend(s, more), fits);
      if (fits) lengths[s] += more;
    } else {
      const int n = static_cast<int>(rng.below(kMost));
      cache.truncate(s, n);
      lengths[s] = std::min(lengths[s], n);
    }
    ASSERT_EQ(cache.length(s), lengths[s]);
    cache.check();
  }
}

TEST(PagedCache, RefusesSizesThatCannotBe) {
  const auto kind_of = [](const PagedCache::Shape& shape) {
    try {
      PagedCache cache(shape);
    } catch (const Error& error) {
      return static_cast<int>(error.kind());
    }
    return -1;
  };
  const int limit = static_cast<int>(ErrorKind::limit), huge = std::numeric_limits<int>::max();
  EXPECT_EQ(kind_of({.layers = huge,
                     .layer_bytes = std::numeric_limits<uint64_t>::max(),
                     .pages = huge,
                     .max_sequences = 1,
                     .max_tokens = 1}),
            limit);
  EXPECT_EQ(
      kind_of(
          {.layers = 4096, .layer_bytes = 1 << 20, .pages = 1 << 24, .max_sequences = 1, .max_tokens = 1}),
      limit);
  EXPECT_EQ(kind_of({.layers = 0, .layer_bytes = 128, .pages = 1, .max_sequences = 1, .max_tokens = 1}),
            limit);
  EXPECT_EQ(kind_of({.layers = 1, .layer_bytes = 0, .pages = 1, .max_sequences = 1, .max_tokens = 1}), limit);
}

}  // namespace
}  // namespace tern
