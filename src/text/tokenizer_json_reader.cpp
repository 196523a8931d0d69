// Reads Hugging Face's tokenizer.json: what it builds is recognised by its structure, and the rest refused by
// name.
#include <algorithm>
#include <unordered_map>

#include "base/error.h"
#include "text/bounded_json.h"
#include "text/byte_unicode.h"
#include "text/nfc.h"
#include "text/piece_encoder.h"
#include "text/pretokenizer.h"
#include "text/spm.h"
#include "text/token_index.h"
#include "text/vocabulary.h"

namespace tern {
namespace {

constexpr const char* kLowerBlock = "\u2581";
constexpr size_t kMostPatterns = 32;

// A member of an object; null where it is absent or the value no object.
const Json& member(const Json& object, const char* key) {
  static const Json null;
  if (!object.is_object()) return null;
  const auto at = object.find(key);
  return at != object.end() ? *at : null;
}

std::string text_of(const Json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

bool is_true(const Json& value) {
  return value.is_boolean() && value.get<bool>();
}

std::string shown(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 200);
}

// Then a piece that is a token comes out as that token whether merges are ignored for it or not.
bool merges_make_every_token(const Vocabulary& vocabulary) {
  const TokenIndex index = index_tokens(vocabulary);
  const MergeRules rules = merge_rules(vocabulary, index);
  PieceEncoder encoder(rules);
  std::vector<int32_t> ids;
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (vocabulary.types[id] != TokenType::normal) continue;
    ids.clear();
    encoder.encode(vocabulary.tokens[id], ids);
    if (ids != std::vector<int32_t>{id}) return false;
  }
  return true;
}

class Reader {
 public:
  Reader(std::string_view text, const std::string& name)
      : name_(name), file_(parse_tokenizer_tree(text, name)) {}

  Vocabulary read() {
    read_model();
    if (vocabulary_.model == TokenizerModel::spm) {
      read_spm_spaces();
    } else {
      read_normalizer();
      read_pre_tokenizer();
    }
    read_tokens();
    read_merges();
    name_rule();
    read_post_processor(member(file_.rest, "post_processor"));
    return std::move(vocabulary_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what, const Json& value) const {
    fail(ErrorKind::unsupported, "{}: {} {} is not one that tern knows", name_, what, shown(value));
  }

  [[noreturn]] void broken(const std::string& what) const {
    fail(ErrorKind::bad_input, "{}: {}", name_, what);
  }

  void read_model() {
    const Json& model = member(file_.rest, "model");
    if (text_of(member(model, "type")) != "BPE") refuse("model.type", member(model, "type"));
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix", "dropout"}) {
      const Json& value = member(model, key);
      const bool nothing = value.is_null() || value == "" || value == 0.0;
      if (!nothing) refuse(std::string("model.") + key, value);
    }
    if (is_true(member(model, "byte_fallback"))) {
      vocabulary_.model = TokenizerModel::spm;
      vocabulary_.pre.clear();
    }
    vocabulary_.ignore_merges = is_true(member(model, "ignore_merges"));
    if (vocabulary_.model == TokenizerModel::spm && vocabulary_.ignore_merges) {
      refuse("model.ignore_merges with model.byte_fallback,", true);
    }
    unk_ = text_of(member(model, "unk_token"));
  }

  // The steps of a Sequence and of Sequences in it; a step alone.
  void flatten(const Json& step, const char* list, std::vector<Json>& steps) const {
    if (step.is_null()) return;
    if (text_of(member(step, "type")) != "Sequence") return steps.push_back(step);
    for (const Json& inner : member(step, list)) flatten(inner, list, steps);
  }

  std::vector<Json> steps(const char* key, const char* list) const {
    std::vector<Json> found;
    flatten(member(file_.rest, key), list, found);
    return found;
  }

  void read_normalizer() {
    for (const Json& step : steps("normalizer", "normalizers")) {
      if (text_of(member(step, "type")) != "NFC") refuse("normalizer", step);
      vocabulary_.nfc = true;
    }
  }

  void read_pre_tokenizer() {
    std::vector<std::string> patterns;
    bool bytes = false;
    for (const Json& step : steps("pre_tokenizer", "pretokenizers")) {
      if (bytes) refuse("pre_tokenizer after ByteLevel,", step);
      if (text_of(member(step, "type")) == "ByteLevel") {
        bytes = true;
        if (is_true(member(step, "add_prefix_space"))) refuse("pre_tokenizer", step);
        const Json& regex = member(step, "use_regex");
        if (regex.is_null() || is_true(regex)) patterns.push_back(pre_tokenizer_rule("gpt-2").patterns[0]);
      } else {
        patterns.push_back(pattern_of(step));
      }
      if (patterns.size() > kMostPatterns) refuse("pre_tokenizer", "of more than 32 patterns");
    }
    if (!bytes) refuse("pre_tokenizer without ByteLevel,", member(file_.rest, "pre_tokenizer"));
    vocabulary_.pre.clear();
    vocabulary_.patterns = std::move(patterns);
  }

  // The name of the rule that the patterns are, where it has one.
  void name_rule() {
    if (vocabulary_.model == TokenizerModel::spm) return;
    const bool ignore = vocabulary_.ignore_merges;
    const PreTokenizerRule* rule = find_pre_tokenizer_rule(vocabulary_.patterns, ignore);
    if (!rule) {
      rule = find_pre_tokenizer_rule(vocabulary_.patterns, !ignore);
      if (!rule || !merges_make_every_token(vocabulary_)) return;
    }
    vocabulary_.pre = rule->name;
    vocabulary_.patterns.clear();
  }

  std::string pattern_of(const Json& step) const {
    const std::string type = text_of(member(step, "type"));
    if (type == "Digits") {
      return is_true(member(step, "individual_digits")) ? R"(\p{N})" : R"(\p{N}+)";
    }
    const Json& regex = member(member(step, "pattern"), "Regex");
    if (type != "Split" || !regex.is_string()) refuse("pre_tokenizer", step);
    const std::string behavior = text_of(member(step, "behavior"));
    const bool inverted = is_true(member(step, "invert"));
    const std::string pattern = regex.get<std::string>();
    if (behavior == "Isolated" && !inverted) return pattern;
    // The matches alone, which is the same where they are all of the text: as they are for rules with a name.
    const bool whole = find_pre_tokenizer_rule({pattern}, true) || find_pre_tokenizer_rule({pattern}, false);
    if (behavior == "Removed" && inverted && whole) return pattern;
    refuse("pre_tokenizer", step);
  }

  void read_spm_spaces() {
    bool replaced = false;
    for (const Json& step : steps("normalizer", "normalizers")) {
      const std::string type = text_of(member(step, "type"));
      if (type == "Prepend" && member(step, "prepend") == kLowerBlock) {
        vocabulary_.space_prefix = SpacePrefix::always;
      } else if (type == "Replace" && member(member(step, "pattern"), "String") == " " &&
                 member(step, "content") == kLowerBlock) {
        replaced = true;
      } else {
        refuse("normalizer", step);
      }
    }
    const std::vector<Json> cuts = steps("pre_tokenizer", "pretokenizers");
    if (cuts.empty() && replaced) return;
    if (cuts.size() != 1 || replaced || vocabulary_.space_prefix != SpacePrefix::none) {
      refuse("pre_tokenizer", member(file_.rest, "pre_tokenizer"));
    }
    read_metaspace(cuts[0]);
  }

  void read_metaspace(const Json& step) {
    if (text_of(member(step, "type")) != "Metaspace" || member(step, "replacement") != kLowerBlock) {
      refuse("pre_tokenizer", step);
    }
    const Json& split = member(step, "split");
    vocabulary_.split_spaces = split.is_null() || is_true(split);
    const Json& scheme = member(step, "prepend_scheme");
    if (scheme == "first") {
      vocabulary_.space_prefix = SpacePrefix::first;
    } else if (scheme == "never" || (scheme.is_null() && member(step, "add_prefix_space") == false)) {
      vocabulary_.space_prefix = SpacePrefix::none;
    } else if (scheme == "always" || scheme.is_null()) {
      vocabulary_.space_prefix = SpacePrefix::where_missing;
    } else {
      refuse("pre_tokenizer", step);
    }
  }

  struct Added {
    int32_t id;
    std::string content;
    bool special;
  };

  std::vector<Added> added_tokens() const {
    std::vector<Added> added;
    for (const Json& token : member(file_.rest, "added_tokens")) {
      const Json& id = member(token, "id");
      if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX ||
          !member(token, "content").is_string()) {
        broken("added_tokens: expected an id and a content, found " + shown(token));
      }
      for (const char* flag : {"single_word", "lstrip", "rstrip"}) {
        if (is_true(member(token, flag))) refuse(std::string("added token with ") + flag + ",", token);
      }
      const std::string content = text_of(member(token, "content"));
      const bool special = is_true(member(token, "special"));
      // transformers makes special ones anew, not normalized, whatever the file says.
      const bool changes =
          vocabulary_.model == TokenizerModel::spm || (vocabulary_.nfc && to_nfc(content) != content);
      if (!special && is_true(member(token, "normalized")) && changes) {
        refuse("added token that is normalized,", token);
      }
      added.push_back({static_cast<int32_t>(id.get<uint64_t>()), content, special});
    }
    return added;
  }

  void read_tokens() {
    const std::vector<Added> added = added_tokens();
    int64_t most = -1;
    for (const auto& [token, id] : file_.vocab) most = std::max(most, id);
    for (const Added& token : added) most = std::max<int64_t>(most, token.id);
    const size_t n = static_cast<size_t>(most + 1), said = file_.vocab.size() + added.size();
    if (n == 0) broken("model.vocab has no tokens");
    if (n > 4 * said + 65536) {
      fail(ErrorKind::limit, "{}: token id {}, though there are only {} tokens", name_, most, said);
    }
    vocabulary_.tokens.resize(n);
    vocabulary_.types.assign(n, TokenType::unused);
    place_learned();
    for (const Added& token : added) place_added(token);
    for (size_t id = 0; id < n; ++id) {
      if (vocabulary_.types[id] == TokenType::unused) vocabulary_.tokens[id] = fmt::format("[PAD{}]", id);
    }
  }

  void place_learned() {
    for (const auto& [token, id] : file_.vocab) {
      TokenType& type = vocabulary_.types[static_cast<size_t>(id)];
      if (type != TokenType::unused) broken(fmt::format("model.vocab: id {} is there twice", id));
      type = TokenType::normal;
      spelled_.emplace(id, token);
      std::string& bytes = vocabulary_.tokens[static_cast<size_t>(id)];
      if (vocabulary_.model == TokenizerModel::bpe) {
        bytes = unspell_bytes(token).value_or(token);
        continue;
      }
      const bool byte = token.size() == 6 && token.starts_with("<0x") && token.ends_with('>');
      type = token == unk_ ? TokenType::unknown : byte ? TokenType::byte : TokenType::normal;
      bytes = spm_bytes(token, type);
    }
  }

  void place_added(const Added& token) {
    const auto at = spelled_.find(token.id);
    if (at != spelled_.end() && at->second != token.content) {
      broken(fmt::format("added token {} is \"{}\", and \"{}\" in another place", token.id, token.content,
                         at->second));
    }
    spelled_.emplace(token.id, token.content);
    const auto id = static_cast<size_t>(token.id);
    vocabulary_.tokens[id] = token.content;
    const bool unknown = token.content == unk_ && !unk_.empty();
    vocabulary_.types[id] = unknown         ? TokenType::unknown
                            : token.special ? TokenType::control
                                            : TokenType::user_defined;
    if (unknown) vocabulary_.unk = token.id;
  }

  void read_merges() {
    vocabulary_.merges.reserve(file_.merges.size());
    for (auto& [left, right] : file_.merges) {
      if (vocabulary_.model == TokenizerModel::spm) {
        vocabulary_.merges.emplace_back(spm_bytes(left, TokenType::normal),
                                        spm_bytes(right, TokenType::normal));
        continue;
      }
      auto l = unspell_bytes(left), r = unspell_bytes(right);
      if (!l || !r || l->empty() || r->empty()) {
        broken(fmt::format("model.merges: \"{}\" and \"{}\" are no tokens in bytes", left, right));
      }
      vocabulary_.merges.emplace_back(std::move(*l), std::move(*r));
    }
  }

  // The begin token before the text and the end token behind it are all that tern adds.
  void read_post_processor(const Json& step) {
    const std::string type = text_of(member(step, "type"));
    if (step.is_null() || type == "ByteLevel") return;
    if (type == "Sequence") {
      for (const Json& inner : member(step, "processors")) read_post_processor(inner);
      return;
    }
    if (type != "TemplateProcessing") refuse("post_processor", step);
    const Json& parts = member(step, "single");
    bool after = false;
    for (const Json& part : parts) {
      const Json& special = member(part, "SpecialToken");
      if (special.is_null()) {
        after = true;
        continue;
      }
      const Json& ids =
          member(member(member(step, "special_tokens"), text_of(member(special, "id")).c_str()), "ids");
      if (!ids.is_array() || ids.size() != 1 || !ids[0].is_number_unsigned() ||
          ids[0].get<uint64_t>() >= vocabulary_.tokens.size() ||
          (after ? vocabulary_.add_eos : vocabulary_.add_bos)) {
        refuse("post_processor", step);
      }
      (after ? vocabulary_.eos : vocabulary_.bos) = ids[0].get<int32_t>();
      (after ? vocabulary_.add_eos : vocabulary_.add_bos) = true;
    }
  }

  const std::string name_;
  TokenizerJson file_;
  std::string unk_;
  std::unordered_map<int64_t, std::string_view> spelled_;
  Vocabulary vocabulary_;
};

}  // namespace

Vocabulary parse_tokenizer_json(std::string_view text, const std::string& name) {
  return Reader(text, name).read();
}

}  // namespace tern
