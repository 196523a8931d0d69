// Judging answers: one item, then sums over many, by noise level.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "tasks/search/search.h"

namespace tern::search {

/// What somebody answered: raw text, never repaired. Tokens are 0 where nothing was spent.
struct Reply {
  std::string thinking;  ///< "" where there was none
  std::string answer;
  int thinking_tokens = 0;
  int answer_tokens = 0;
};

struct ItemScore {
  bool exact = false;  ///< the same answer, whatever the key order
  bool intent_right = false;
  int slots_right = 0;                ///< key and value pairs, the intent aside
  int slots_wrong = 0;                ///< answered, not in the truth
  int slots_missed = 0;               ///< in the truth, not answered
  bool out_of_scope = false;          ///< the truth is off topic or names an unknown brand
  bool recognised = false;            ///< ... and the answer says so
  std::vector<std::string> invented;  ///< identifiers that no reading of the query supports
  std::optional<double> process;  ///< share of right thinking steps, where reply and example have thinking
  int thinking_tokens = 0;
  int answer_tokens = 0;
};

/// Identifiers that some reading of a query supports, each "key:id", e.g. "brands:velora".
using Support = std::set<std::string, std::less<>>;

/// The identifiers of an answer, in that form.
void add_support(Support& support, const Answer& answer);

/// Scores one reply. `support` comes from the oracle's readings; the truth's own identifiers always count as
/// supported. An answer that does not parse is wrong in every way, and every quoted word in it that is
/// neither a key, an intent nor a note must be supported under some key.
ItemScore score_item(const Example& example, const Reply& reply, const Support& support);

/// Rates over items, each 0 to 1; tokens are means.
struct Scores {
  int count = 0;
  double exact_match = 0;
  double slot_f1 = 0;  ///< micro average
  double intent_accuracy = 0;
  double oos_recall = 0;     ///< of out-of-scope queries, those recognised; 1 where there were none
  double invented_rate = 0;  ///< items with at least one invented identifier
  double thinking_tokens = 0;
  double answer_tokens = 0;
  double process_accuracy = 0;  ///< over items that had thinking; 0 where none had
};

class ScoreSum {
 public:
  void add(const ItemScore& item);
  Scores scores() const;

 private:
  int count_ = 0, exact_ = 0, intent_ = 0, out_of_scope_ = 0, recognised_ = 0, invented_ = 0, thought_ = 0;
  long right_ = 0, wrong_ = 0, missed_ = 0, thinking_tokens_ = 0, answer_tokens_ = 0;
  double process_ = 0;
};

/// Sums over all items and by noise level, 0 to 4.
class ScoreTable {
 public:
  void add(int noise, const ItemScore& item);
  Scores overall() const { return overall_.scores(); }
  Scores at_noise(int noise) const { return by_noise_.at(noise).scores(); }

 private:
  ScoreSum overall_;
  std::array<ScoreSum, 5> by_noise_;
};

/// {"count":…,"exact_match":…,"slot_f1":…,…}
nlohmann::ordered_json to_json(const Scores& scores);
/// The overall scores, and under "by_noise" those of each level that had items: {"0":{…},"1":{…}}.
nlohmann::ordered_json to_json(const ScoreTable& table);

}  // namespace tern::search
