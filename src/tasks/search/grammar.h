// Saying a truth in words: a template for the sentence, a word for each entity.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tasks/search/truth.h"

namespace tern::search {

/// What a mention is to the request: excluded is "no leather", withdrawn is what a change of mind takes back.
enum class Role : uint8_t { wanted, excluded, withdrawn };

/// Something named in a query. `norm` is how the thinking writes it, `ids` what it may stand for.
struct Mention {
  Kind kind = Kind::filler;
  std::string norm;
  std::vector<std::string> ids;
  Role role = Role::wanted;
};

/// One word of a query. Noise works on these.
struct Token {
  std::string text;
  int mention = -1;     ///< index into Spoken::mentions; -1 for a filler
  int group = 0;        ///< words that stay together when the order changes
  bool number = false;  ///< never touched by letter noise
  bool unit = false;    ///< currency word after a number
  bool joined = false;  ///< no space before it
  bool moved = false;   ///< the word order changed here
  int hits = 0;         ///< other noise operators that touched it
};

struct Spoken {
  std::vector<Token> tokens;
  std::vector<Mention> mentions;
  uint64_t phrasing_hash = 0;
};

/// The words with single spaces, except where joined.
std::string join_tokens(const std::vector<Token>& tokens);

class Grammar {
 public:
  explicit Grammar(const World& world);

  /// Says `truth` in a phrasing that belongs to `split`. `unknown` is the brand that does not exist, where
  /// one is named.
  Spoken say(const Truth& truth, const std::string& unknown, Split split, Rng& rng) const;

  /// How many sentence phrasings there are over all intents, entity words aside.
  size_t phrasings() const;

 private:
  struct Piece {
    std::string word;
    char slot = 0;  ///< 'a', 'b', 'x', 'n', 'o', 'p', 'c', 'e', 'w', 'k'; 0 for a word
    bool cue = false;
  };
  using Template = std::vector<Piece>;
  class Speaker;

  static Template parse_template(std::string_view text);
  static std::vector<Template> parse_all(std::span<const char* const> rows);

  const World* world_;
  std::vector<Template> compare_, support_, max_, min_, range_, impossible_, about_, exclusions_,
      corrections_;
  std::vector<std::vector<Template>> off_topic_;
  std::vector<std::string> description_heads_, openers_, closers_, layouts_;
};

}  // namespace tern::search
