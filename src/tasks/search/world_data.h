// The hand-written tables behind World. Alternatives are separated by '|'; see each table for the rest.
#pragma once

#include <span>

#include "tasks/search/world.h"

namespace tern::search::data {

struct DepartmentRow {
  const char* id;
  SizeSystem sizes;
  bool materials;
  bool audience;
};

/// `words`: nouns in the singular, their plurals are added; "!jeans" has no other form.
/// `spanish` and `german` translate the plural of the first noun.
struct TypeRow {
  const char* department;
  const char* id;
  const char* words;
  const char* spanish;
  const char* german;
};

struct SharedTypeRow {
  const char* word;
  const char* first;
  const char* second;
};

/// `before` and `after` as in Value; the translations are of the first `before` word (Spanish, German).
struct ValueRow {
  const char* id;
  const char* before;
  const char* after;
  const char* spanish;
  const char* german;
};

struct PairRow {
  const char* english;
  const char* spanish;
  const char* german;
};

struct AbbreviationRow {
  const char* word;
  const char* shorter;
};

std::span<const DepartmentRow> departments();
std::span<const TypeRow> types();
std::span<const SharedTypeRow> shared_types();
std::span<const ValueRow> colours();
std::span<const ValueRow> materials();
std::span<const ValueRow> letter_sizes();
std::span<const ValueRow> shoe_sizes();
std::span<const ValueRow> audiences();
std::span<const ValueRow> sorts();
std::span<const PairRow> small_words();
std::span<const AbbreviationRow> abbreviations();

}  // namespace tern::search::data
