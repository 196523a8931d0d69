#include "tasks/search/grammar.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "tasks/search/grammar_data.h"

namespace tern::search {
namespace {

constexpr std::string_view short_closers[] = {"", "please", "thanks"};
constexpr std::string_view greetings[] = {"", "hi", "hello", "hey"};

/// 6000 is "60", 4999 is "49.99".
std::string price_text(int64_t cents) {
  return cents % 100 == 0 ? std::to_string(cents / 100) : fmt::format("{}.{:02}", cents / 100, cents % 100);
}

const Value& value_of(std::span<const Value> values, const std::string& id) {
  for (const auto& value : values) {
    if (value.id == id) return value;
  }
  fail(ErrorKind::internal, "grammar: no value {}", id);
}

uint64_t phrasing_of(int intent, uint64_t a, uint64_t b, uint64_t c) {
  uint64_t state = 0x7465726e ^ static_cast<uint64_t>(intent);
  for (const uint64_t part : {a, b, c}) state = splitmix64(state) ^ part;
  return splitmix64(state);
}

/// Draws phrasings until one belongs to the split.
struct PhrasingDraw {
  uint64_t first, second, third, hash;
};
template <typename Draw>
PhrasingDraw draw_phrasing(int intent, Split split, Draw&& draw) {
  for (int attempt = 0; attempt < 100000; ++attempt) {
    PhrasingDraw drawn = draw();
    drawn.hash = phrasing_of(intent, drawn.first, drawn.second, drawn.third);
    if (split_of(drawn.hash) == split) return drawn;
  }
  fail(ErrorKind::internal, "grammar: a split has no phrasing of intent {}", intent);
}

/// Entities and constraints of a request: one alone needs an opener to be a sentence.
size_t count_parts(const Truth& truth) {
  const auto& answer = truth.answer;
  return !answer.types.empty() + (truth.unknown_brand || !answer.brands.empty()) + !answer.colours.empty() +
         !answer.materials.empty() + !answer.sizes.empty() + !answer.audience.empty() + !answer.sort.empty() +
         (answer.min_price || answer.max_price);
}

}  // namespace

std::string join_tokens(const std::vector<Token>& tokens) {
  std::string text;
  for (const auto& token : tokens) {
    if (!text.empty() && !token.joined) text += ' ';
    text += token.text;
  }
  return text;
}

/// Builds one sentence word by word.
class Grammar::Speaker {
 public:
  Speaker(const Grammar& grammar, const Truth& truth, const std::string& unknown, Rng& rng)
      : grammar_(grammar), world_(*grammar.world_), truth_(truth), unknown_(unknown), rng_(rng) {}

  Spoken spoken;

  void fillers(std::string_view text) {
    for (auto& word : split_words(text)) {
      ++group_;
      push(std::move(word), -1);
    }
  }

  void type(size_t index) {
    changing_mind(Kind::type, [&] { kept_type(index); });
  }

  void kept_type(size_t index) {
    const auto& answer = truth_.answer;
    if (!truth_.description.empty()) {
      say_words(answer.intent == Intent::support ? "thing" : rng_.pick(grammar_.description_heads_));
      return name(Kind::type, truth_.description, {answer.types[index]});
    }
    if (!truth_.type_word.empty()) return name(Kind::type, truth_.type_word, shared_ids(truth_.type_word));
    any_name(Kind::type, answer.types[index]);
  }

  void brand(size_t index) {
    changing_mind(Kind::brand, [&] { kept_brand(index); });
  }

  void kept_brand(size_t index) {
    if (truth_.unknown_brand) {
      const int mention = add_mention(Kind::unknown, "?", {});
      return push(unknown_, mention);
    }
    if (!truth_.brand_word.empty())
      return name(Kind::brand, truth_.brand_word, shared_ids(truth_.brand_word));
    any_name(Kind::brand, truth_.answer.brands[index]);
  }

  /// Some name of what has this id.
  void any_name(Kind kind, const std::string& id) {
    if (kind == Kind::type) {
      const auto& type = world_.types()[world_.find_type(id)];
      return name(kind, rng_.pick(type.words), {id});
    }
    if (kind == Kind::brand) {
      const auto& brand = world_.brands()[world_.find_brand(id)];
      const bool nickname = !brand.nicknames.empty() && rng_.chance(0.45);
      return name(kind, nickname ? rng_.pick(brand.nicknames) : id, {id});
    }
    after(kind, kind == Kind::colour ? world_.colours() : world_.materials(), id);
  }

  /// What is kept, between the words that take something of the same kind back.
  template <typename Kept>
  void changing_mind(Kind kind, Kept&& kept) {
    if (truth_.withdrawn.empty() || truth_.withdrawn_kind != kind) return kept();
    for (const auto& piece : rng_.pick(grammar_.corrections_)) {
      if (!piece.slot) {
        push(piece.word, -1);
      } else if (piece.slot == 'k') {
        kept();
      } else {
        any_name(kind, truth_.withdrawn);
        spoken.mentions.back().role = Role::withdrawn;
      }
    }
  }

  /// "but no leather".
  void exclusion() {
    for (const auto& id : truth_.answer.excluded) {
      ++group_;
      for (const auto& piece : rng_.pick(grammar_.exclusions_)) {
        if (!piece.slot) {
          push(piece.word, -1);
          continue;
        }
        const auto has = [&](std::span<const Value> values) {
          return std::any_of(values.begin(), values.end(),
                             [&](const Value& value) { return value.id == id; });
        };
        any_name(has(world_.colours())     ? Kind::colour
                 : has(world_.materials()) ? Kind::material
                                           : Kind::brand,
                 id);
        spoken.mentions.back().role = Role::excluded;
      }
    }
  }

  bool has_brand() const { return truth_.unknown_brand || !truth_.answer.brands.empty(); }

  /// One part of a shop request; see data::layouts().
  void part(char letter) {
    const auto& answer = truth_.answer;
    ++group_;
    switch (letter) {
      case 'T':
        return noun();
      case 'B':
        if (has_brand()) brand(0);
        return;
      case 'b':
        if (!has_brand()) return;
        lead({"from", "by", "from", "by", "made by", "from the brand"});
        return brand(0);
      case 'C':
      case 'c':
        if (answer.colours.empty()) return;
        if (letter == 'c') lead({"in"});
        return changing_mind(Kind::colour, [&] { colours(letter == 'C'); });
      case 'M':
        if (answer.materials.empty()) return;
        return changing_mind(Kind::material,
                             [&] { before(Kind::material, world_.materials(), answer.materials[0]); });
      case 'm':
        if (answer.materials.empty()) return;
        lead({"made of", "in", "of", "made from"});
        return changing_mind(Kind::material,
                             [&] { after(Kind::material, world_.materials(), answer.materials[0]); });
      case 'A':
        if (!answer.audience.empty()) before(Kind::audience, world_.audiences(), answer.audience);
        return;
      case 'a':
        if (answer.audience.empty()) return;
        lead({"for"});
        return after(Kind::audience, world_.audiences(), answer.audience);
      case 'S':
        if (!answer.sort.empty()) before(Kind::sort, world_.sorts(), answer.sort);
        return;
      case 's':
        if (!answer.sort.empty()) after(Kind::sort, world_.sorts(), answer.sort);
        return;
      case 'z':
        return size();
      case 'p':
        return price();
      default:
        fail(ErrorKind::internal, "grammar: no part {}", letter);
    }
  }

  /// Says a template's words; `slot` says each slot.
  template <typename Slot>
  void say(const Template& pieces, Slot&& slot) {
    for (const auto& piece : pieces) {
      ++group_;
      if (piece.slot) {
        slot(piece.slot, piece.cue);
      } else {
        push(piece.word, piece.cue ? add_mention(Kind::cue, piece.word, {}) : -1);
      }
    }
  }

  /// What an off-topic question is about; it is in the thinking, but names nothing.
  void object() { name(Kind::cue, truth_.object, {}); }
  void number() {
    push(truth_.order_number, -1);
    spoken.tokens.back().number = true;
  }

 private:
  int add_mention(Kind kind, std::string norm, std::vector<std::string> ids) {
    spoken.mentions.push_back({kind, std::move(norm), std::move(ids)});
    return static_cast<int>(spoken.mentions.size()) - 1;
  }

  void push(std::string word, int mention) {
    Token token;
    token.text = std::move(word);
    token.mention = mention;
    token.group = group_;
    spoken.tokens.push_back(std::move(token));
  }

  void name(Kind kind, const std::string& phrase, std::vector<std::string> ids) {
    const int mention = add_mention(kind, phrase, std::move(ids));
    for (auto& word : split_words(phrase)) push(std::move(word), mention);
  }

  void say_words(std::string_view text) {
    for (auto& word : split_words(text)) push(std::move(word), -1);
  }

  void lead(std::initializer_list<const char*> choices) {
    say_words(choices.begin()[rng_.below(choices.size())]);
  }

  std::vector<std::string> shared_ids(const std::string& word) const {
    for (const auto& shared : world_.shared_nicknames()) {
      if (shared.text != word) continue;
      return {world_.brands()[shared.brands[0]].id, world_.brands()[shared.brands[1]].id};
    }
    for (const auto& shared : world_.shared_type_words()) {
      if (shared.text != word) continue;
      return {world_.types()[shared.types[0]].id, world_.types()[shared.types[1]].id};
    }
    fail(ErrorKind::internal, "grammar: {} is not shared", word);
  }

  void noun() {
    if (!truth_.answer.types.empty()) return type(0);
    lead({"something", "anything", "stuff", "products", "items", "things"});
  }

  void before(Kind kind, std::span<const Value> values, const std::string& id) {
    const auto& value = value_of(values, id);
    name(kind, value.before[rng_.below(value.before.size())], {id});
  }

  void after(Kind kind, std::span<const Value> values, const std::string& id) {
    const auto& value = value_of(values, id);
    name(kind, value.after[rng_.below(value.after.size())], {id});
  }

  void colours(bool in_front) {
    const auto& ids = truth_.answer.colours;
    for (size_t i = 0; i < ids.size(); ++i) {
      if (i > 0) lead({"or", "and"});
      if (in_front) {
        before(Kind::colour, world_.colours(), ids[i]);
      } else {
        after(Kind::colour, world_.colours(), ids[i]);
      }
    }
  }

  void size() {
    if (truth_.answer.sizes.empty()) return;
    const auto& id = truth_.answer.sizes[0];
    const bool shoes = id[0] >= '0' && id[0] <= '9';
    if (rng_.chance(0.4)) lead({"in"});
    after(Kind::size, shoes ? world_.shoe_sizes() : world_.letter_sizes(), id);
    if (shoes) spoken.tokens.back().number = true;
  }

  void price() {
    const auto& answer = truth_.answer;
    if (!answer.min_price && !answer.max_price) return;
    const bool both = answer.min_price && answer.max_price;
    const bool impossible = both && *answer.min_price > *answer.max_price;
    const auto& wordings = impossible           ? grammar_.impossible_
                           : truth_.about_price ? grammar_.about_
                           : both               ? grammar_.range_
                           : answer.max_price   ? grammar_.max_
                                                : grammar_.min_;
    const std::string low = answer.min_price ? price_text(*answer.min_price) : "";
    const std::string high = answer.max_price ? price_text(*answer.max_price) : "";
    std::string norm = truth_.about_price ? "about " + price_text(truth_.about_price) + " " : "";
    if (!low.empty()) norm += "min " + low;
    if (!high.empty()) norm += (low.empty() ? "max " : " max ") + high;
    const int mention = add_mention(Kind::price, norm, {});
    const auto& wording = rng_.pick(wordings);
    const std::string unit = sample_unit();
    const char last = wording.back().slot;
    for (const auto& piece : wording) {
      if (!piece.slot) {
        push(piece.word, mention);
        continue;
      }
      number_of(piece.slot == 'c'                                          ? truth_.about_price
                : piece.slot == 'a' || (piece.slot == 'p' && high.empty()) ? *answer.min_price
                                                                           : *answer.max_price,
                mention);
      // "between 20 and 40 euros": the unit is said once, at the end.
      if (unit.empty() || piece.slot != last) continue;
      push(unit, mention);
      spoken.tokens.back().unit = true;
    }
  }

  void number_of(int64_t cents, int mention) {
    if (truth_.number_words) {
      for (const auto& row : data::number_words()) {
        if (row.value * 100 != cents) continue;
        for (auto& word : split_words(row.text)) push(std::move(word), mention);
      }
      return;
    }
    push(price_text(cents), mention);
    spoken.tokens.back().number = true;
  }

  std::string sample_unit() {
    const double draw = rng_.uniform();
    return draw < 0.5 ? "" : draw < 0.72 ? "euros" : draw < 0.88 ? "dollars" : draw < 0.94 ? "eur" : "bucks";
  }

  const Grammar& grammar_;
  const World& world_;
  const Truth& truth_;
  const std::string& unknown_;
  Rng& rng_;
  int group_ = 0;
};

Grammar::Template Grammar::parse_template(std::string_view text) {
  Template pieces;
  for (auto& word : split_words(text)) {
    Piece piece;
    piece.cue = word[0] == '*';
    if (piece.cue) word.erase(0, 1);
    if (word[0] == '{') {
      piece.slot = word[1];
    } else {
      piece.word = std::move(word);
    }
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

std::vector<Grammar::Template> Grammar::parse_all(std::span<const char* const> rows) {
  std::vector<Template> templates;
  for (const char* row : rows) templates.push_back(parse_template(row));
  return templates;
}

Grammar::Grammar(const World& world)
    : world_(&world),
      compare_(parse_all(data::compare_templates())),
      support_(parse_all(data::support_templates())),
      max_(parse_all(data::max_wordings())),
      min_(parse_all(data::min_wordings())),
      range_(parse_all(data::range_wordings())),
      impossible_(parse_all(data::impossible_wordings())),
      about_(parse_all(data::about_wordings())),
      exclusions_(parse_all(data::exclusions())),
      corrections_(parse_all(data::corrections())),
      description_heads_(data::description_heads().begin(), data::description_heads().end()),
      openers_(data::openers().begin(), data::openers().end()),
      closers_(data::closers().begin(), data::closers().end()),
      layouts_(data::layouts().begin(), data::layouts().end()) {
  for (const auto& topic : data::off_topics()) {
    std::vector<Template> templates;
    std::string_view rest = topic.templates;
    while (!rest.empty()) {
      const size_t bar = std::min(rest.find('|'), rest.size());
      templates.push_back(parse_template(rest.substr(0, bar)));
      rest.remove_prefix(std::min(bar + 1, rest.size()));
    }
    off_topic_.push_back(std::move(templates));
  }
}

size_t Grammar::phrasings() const {
  size_t off_topic = 0;
  for (const auto& templates : off_topic_) off_topic += templates.size();
  return openers_.size() * closers_.size() * layouts_.size() +
         compare_.size() * 3 * std::size(short_closers) +
         (support_.size() + off_topic) * std::size(greetings) * std::size(short_closers);
}

Spoken Grammar::say(const Truth& truth, const std::string& unknown, Split split, Rng& rng) const {
  Speaker speaker(*this, truth, unknown, rng);
  const auto& answer = truth.answer;
  const int intent = static_cast<int>(answer.intent);
  const auto skewed = [&](size_t count, double first) {
    return rng.chance(first) ? 0 : 1 + rng.below(count - 1);
  };
  if (answer.intent == Intent::find) {
    const double bare = count_parts(truth) > 1 ? 0.3 : 0;
    const auto drawn = draw_phrasing(intent, split, [&] {
      return PhrasingDraw{skewed(openers_.size(), bare), skewed(closers_.size(), 0.65),
                          rng.below(layouts_.size()), 0};
    });
    speaker.fillers(openers_[drawn.first]);
    for (const char letter : layouts_[drawn.third]) speaker.part(letter);
    speaker.exclusion();
    speaker.fillers(closers_[drawn.second]);
    speaker.spoken.phrasing_hash = drawn.hash;
    return std::move(speaker.spoken);
  }
  if (answer.intent == Intent::compare) {
    const auto drawn = draw_phrasing(intent, split, [&] {
      return PhrasingDraw{rng.below(compare_.size()), rng.below(3), skewed(std::size(short_closers), 0.7), 0};
    });
    const bool brands = answer.brands.size() == 2;
    const size_t first = rng.below(2);
    // What both have in common is said beside one of them (0), or after the sentence (1, 2).
    const bool has_common = brands ? !answer.types.empty() : !answer.brands.empty();
    const auto slot = [&](char letter, bool) {
      const bool is_first = letter == 'a';
      const size_t index = is_first ? first : 1 - first;
      if (brands) {
        speaker.brand(index);
        if (has_common && drawn.second == 0 && !is_first) speaker.type(0);
      } else {
        if (has_common && drawn.second == 0 && is_first) speaker.brand(0);
        speaker.type(index);
      }
    };
    speaker.say(compare_[drawn.first], slot);
    if (has_common && drawn.second > 0) {
      speaker.fillers(brands ? (drawn.second == 1 ? "for" : "when buying")
                             : (drawn.second == 1 ? "from" : "by"));
      if (brands) {
        speaker.type(0);
      } else {
        speaker.brand(0);
      }
    }
    speaker.fillers(short_closers[drawn.third]);
    speaker.spoken.phrasing_hash = drawn.hash;
    return std::move(speaker.spoken);
  }
  const bool support = answer.intent == Intent::support;
  const auto& templates = support ? support_ : off_topic_[truth.topic];
  const char wanted = support ? (truth.order_number.empty() ? 'x' : 'n') : 'o';
  const auto fits = [&](const Template& pieces) {
    for (const auto& piece : pieces) {
      if (piece.slot == wanted) return true;
    }
    return false;
  };
  const auto drawn = draw_phrasing(support ? intent : intent + truth.topic, split, [&] {
    uint64_t index = rng.below(templates.size());
    while (!fits(templates[index])) index = rng.below(templates.size());
    return PhrasingDraw{index, skewed(std::size(greetings), 0.7), skewed(std::size(short_closers), 0.75), 0};
  });
  speaker.fillers(greetings[drawn.second]);
  speaker.say(templates[drawn.first], [&](char letter, bool) {
    if (letter == 'o') return speaker.object();
    if (letter == 'n') return speaker.number();
    if (speaker.has_brand()) speaker.brand(0);
    if (!answer.types.empty()) speaker.type(0);
  });
  speaker.fillers(short_closers[drawn.third]);
  speaker.spoken.phrasing_hash = drawn.hash;
  return std::move(speaker.spoken);
}

}  // namespace tern::search
