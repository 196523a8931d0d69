// What a search engineer would build without a model: edit distance and rules over the full lexicon.
//
// It knows every name, nickname, synonym and foreign word of the world, and who sells what. Its word lists
// and limits were tuned on dev queries; it was never shown the grammar or the noise log.
#pragma once

#include <memory>
#include <string_view>

#include "tasks/search/answer.h"
#include "tasks/search/world.h"

namespace tern::search {

struct BaselineOptions {
  size_t one_edit_from = 4;   ///< shortest phrase that may have one edit
  size_t two_edits_from = 6;  ///< ... and two
  size_t unknown_from = 7;    ///< shortest unexplained word that is taken for a brand that does not exist
};

class Baseline {
 public:
  explicit Baseline(const World& world, BaselineOptions options = {});
  ~Baseline();
  Baseline(Baseline&&) noexcept;

  Answer answer(std::string_view query) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tern::search
