#include "tasks/search/world.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

namespace tern::search {
namespace {

const World& world() {
  static const World the_world;
  return the_world;
}

/// Optimal string alignment by its definition.
int slow_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<int>> d(a.size() + 1, std::vector<int>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) {
    for (size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = static_cast<int>(i + j);
        continue;
      }
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

TEST(Distance, AgreesWithItsDefinition) {
  Rng rng(3);
  for (int i = 0; i < 5000; ++i) {
    std::string a, b;
    for (auto* word : {&a, &b}) {
      const size_t size = rng.below(12);
      for (size_t k = 0; k < size; ++k) *word += static_cast<char>('a' + rng.below(3));
    }
    ASSERT_EQ(edit_distance(a, b), slow_distance(a, b)) << a << " " << b;
  }
  EXPECT_THROW(edit_distance(std::string(65, 'a'), "b"), std::exception);
}

TEST(World, HasTheSizesItPromises) {
  EXPECT_EQ(world().departments().size(), 12u);
  EXPECT_GE(world().types().size(), 145u);
  EXPECT_LE(world().types().size(), 165u);
  EXPECT_EQ(world().brands().size(), 240u);
  std::vector<int> nicknames(240, 0);
  for (size_t i = 0; i < 240; ++i) nicknames[i] += static_cast<int>(world().brands()[i].nicknames.size());
  for (const auto& shared : world().shared_nicknames()) {
    ASSERT_EQ(shared.brands.size(), 2u);
    for (const int brand : shared.brands) ++nicknames[brand];
  }
  for (const int count : nicknames) {
    EXPECT_GE(count, 1);
    EXPECT_LE(count, 3);
  }
}

TEST(World, IsFixedByItsSeed) {
  const World same, other(8);
  EXPECT_EQ(world().brands()[17].id, same.brands()[17].id);
  EXPECT_NE(world().brands()[17].id, other.brands()[17].id);
}

TEST(World, IdentifiersAreDistinctPlainWords) {
  std::set<std::string> ids;
  const auto check = [&](const std::string& id) {
    EXPECT_TRUE(ids.insert(id).second) << id;
    EXPECT_TRUE(std::all_of(id.begin(), id.end(), [](char c) { return c >= 'a' && c <= 'z'; })) << id;
  };
  for (const auto& type : world().types()) check(type.id);
  for (const auto& brand : world().brands()) check(brand.id);
}

TEST(World, EveryBrandSellsSomethingAndEveryTypeHasABrand) {
  for (size_t b = 0; b < world().brands().size(); ++b) {
    const auto& departments = world().brands()[b].departments;
    ASSERT_GE(departments.size(), 1u);
    ASSERT_LE(departments.size(), 2u);
    for (const int d : departments) EXPECT_TRUE(world().sells(static_cast<int>(b), d));
  }
  for (const auto& type : world().types()) {
    int sellers = 0;
    for (int b = 0; b < 240; ++b) sellers += world().sells(b, type.department);
    EXPECT_GE(sellers, 15) << type.id;
  }
}

TEST(World, BrandWordsLieApart) {
  std::vector<std::string> names, all;
  for (const auto& brand : world().brands()) names.push_back(brand.id);
  all = names;
  for (const auto& brand : world().brands())
    all.insert(all.end(), brand.nicknames.begin(), brand.nicknames.end());
  for (const auto& shared : world().shared_nicknames()) all.push_back(shared.text);
  for (size_t i = 0; i < names.size(); ++i) {
    for (size_t j = 0; j < i; ++j)
      ASSERT_GE(edit_distance(names[i], names[j]), 4) << names[i] << " " << names[j];
  }
  for (const auto& name : all) {
    for (const auto& word : world().words()) {
      if (word != name) {
        ASSERT_GE(edit_distance(name, word), 3) << name << " " << word;
      }
    }
  }
}

TEST(World, NicknamesAreNotSpeltLikeTheirBrand) {
  for (const auto& brand : world().brands()) {
    for (const auto& nickname : brand.nicknames) EXPECT_GE(edit_distance(nickname, brand.id), 3);
  }
}

TEST(World, SharedWordsCanBeToldApart) {
  for (const auto& shared : world().shared_nicknames()) {
    for (const int department : world().brands()[shared.brands[0]].departments) {
      EXPECT_FALSE(world().sells(shared.brands[1], department)) << shared.text;
    }
  }
  for (const auto& shared : world().shared_type_words()) {
    EXPECT_NE(world().types()[shared.types[0]].department, world().types()[shared.types[1]].department)
        << shared.text;
  }
}

TEST(World, AnEnglishPhraseHasOneMeaningOfAKind) {
  std::map<std::pair<std::string, Kind>, std::vector<std::string>> meanings;
  for (const auto& entry : world().lexicon()) {
    const auto [at, is_new] = meanings.try_emplace({entry.text, entry.kind}, entry.ids);
    EXPECT_TRUE(is_new) << entry.text << " means " << at->second[0] << " and " << entry.ids[0];
  }
}

TEST(World, InventedBrandsKeepTheirDistance) {
  Rng rng(5);
  for (int distance = 3; distance <= 5; ++distance) {
    int near_misses = 0;
    for (int i = 0; i < 200; ++i) {
      const std::string word = world().invent_brand(rng, distance);
      int nearest = 99;
      for (const auto& other : world().words()) nearest = std::min(nearest, edit_distance(word, other));
      ASSERT_GE(nearest, distance) << word;
      EXPECT_TRUE(world().is_far(word, distance));
      EXPECT_FALSE(world().is_far(word, nearest + 1));
      near_misses += nearest == distance;
    }
    EXPECT_GT(near_misses, 20) << "at distance " << distance;
  }
}

}  // namespace
}  // namespace tern::search
