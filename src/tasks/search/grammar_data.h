// The hand-written phrasings behind Grammar.
//
// A template is words with slots: {a} {b} things compared, {x} the thing asked about, {n} an order number,
// {o} the object of an off-topic question. A word marked with '*' is a cue: it tells the intent.
#pragma once

#include <span>

namespace tern::search::data {

/// Words said before and after a shop request.
std::span<const char* const> openers();
std::span<const char* const> closers();

/// Orders of a request's parts, each a letter: T type, B brand, C colour, M material, A audience, S sort
/// before the noun; the small letter says that part after it ("from velora", "in red", "for men"); z size, p
/// price.
std::span<const char* const> layouts();

std::span<const char* const> compare_templates();
std::span<const char* const> support_templates();

/// Price wordings with {p}, or {a} and {b}.
std::span<const char* const> max_wordings();
std::span<const char* const> min_wordings();
std::span<const char* const> range_wordings();
std::span<const char* const> impossible_wordings();  ///< said of a lower bound {a} above the upper bound {b}
std::span<const char* const> about_wordings();       ///< said of {c}, give or take a fifth

/// What is not wanted, {e}; said after the request.
std::span<const char* const> exclusions();
/// A change of mind: {w} is withdrawn, {k} is kept.
std::span<const char* const> corrections();

/// A whole price in words: "twenty five".
struct NumberWords {
  int value;
  const char* text;
};
std::span<const NumberWords> number_words();

/// A product type said without its name: "a thing to boil water". No table of names has these.
struct DescriptionRow {
  const char* type;
  const char* phrases;  ///< separated by '|'
};
std::span<const DescriptionRow> descriptions();
/// Words before a description.
std::span<const char* const> description_heads();

struct OffTopic {
  const char* id;
  const char* templates;  ///< separated by '|'
  const char* objects;    ///< separated by '|'; "" where the question has none
  bool products;          ///< may also be asked about a product: still off topic
};
std::span<const OffTopic> off_topics();

}  // namespace tern::search::data
