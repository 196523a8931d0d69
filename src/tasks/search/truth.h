// The structured truth behind a query: the answer, and what the words must show for it to be the answer.
#pragma once

#include <cstdint>
#include <string>

#include "tasks/search/answer.h"
#include "tasks/search/search.h"
#include "tasks/search/world.h"

namespace tern::search {

struct Truth {
  Answer answer;
  std::string
      brand_word;  ///< the word that must be said for the brand (a shared nickname); empty: any of its own
  std::string type_word;               ///< likewise for the type ("keyboard")
  std::string description;             ///< said instead of the type's name: "to boil water"
  int64_t about_price = 0;             ///< cents; the bounds are a fifth below and above it
  bool number_words = false;           ///< the prices are said in words
  Kind withdrawn_kind = Kind::filler;  ///< of what is said first and taken back
  std::string withdrawn;               ///< its id; empty where nothing is
  bool unknown_brand = false;          ///< a brand that does not exist is named
  std::string order_number;            ///< support about an order rather than a product
  int topic = -1;                      ///< off topic: index into data::off_topics()
  std::string object;                  ///< ... and what it is about
};

/// A truth from the task's mixture: 70% find (with unknown brands, ambiguous words, contradictions), 10% each
/// of the other intents. The same draws always give the same truth.
Truth sample_truth(const World& world, Rng& rng);

/// Hash of the intent, the entities and the note, without prices and sort: an entity combination.
uint64_t truth_hash(const Truth& truth);

/// The split that owns this hash (of a truth or a phrasing): 80% train, 10% dev, 10% test.
Split split_of(uint64_t hash);

/// FNV-1a, mixed once more so that every bit counts.
uint64_t hash_text(std::string_view text);

}  // namespace tern::search
