// The text of tokenizer.json, as Hugging Face's `tokenizers` reads it.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/byte_unicode.h"
#include "text/pretokenizer.h"
#include "text/special_tokens.h"
#include "text/spm.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace tern {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kLowerBlock = "\u2581";

Json byte_level(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

const std::vector<std::string>& patterns_of(const Vocabulary& vocabulary) {
  return vocabulary.pre.empty() ? vocabulary.patterns : pre_tokenizer_rule(vocabulary.pre).patterns;
}

bool ignores_merges(const Vocabulary& vocabulary) {
  return vocabulary.pre.empty() ? vocabulary.ignore_merges : pre_tokenizer_rule(vocabulary.pre).ignore_merges;
}

bool prefix_in_normalizer(const Vocabulary& vocabulary) {
  return vocabulary.space_prefix == SpacePrefix::always ||
         (vocabulary.space_prefix == SpacePrefix::none && !vocabulary.split_spaces);
}

Json replace(const Json& from, const char* to) {
  return {{"type", "Replace"}, {"pattern", {{"String", from}}}, {"content", to}};
}

Json normalizer(const Vocabulary& vocabulary) {
  if (vocabulary.model == TokenizerModel::bpe) return vocabulary.nfc ? Json{{"type", "NFC"}} : Json();
  if (!prefix_in_normalizer(vocabulary)) return nullptr;
  Json steps = Json::array();
  if (vocabulary.space_prefix == SpacePrefix::always) {
    steps.push_back({{"type", "Prepend"}, {"prepend", kLowerBlock}});
  }
  steps.push_back(replace(" ", kLowerBlock));
  return {{"type", "Sequence"}, {"normalizers", steps}};
}

Json metaspace(const Vocabulary& vocabulary) {
  const char* scheme = vocabulary.space_prefix == SpacePrefix::first  ? "first"
                       : vocabulary.space_prefix == SpacePrefix::none ? "never"
                                                                      : "always";
  return {{"type", "Metaspace"},
          {"replacement", kLowerBlock},
          {"prepend_scheme", scheme},
          {"split", vocabulary.split_spaces}};
}

Json pre_tokenizer(const Vocabulary& vocabulary) {
  if (vocabulary.model == TokenizerModel::spm) {
    return prefix_in_normalizer(vocabulary) ? Json() : metaspace(vocabulary);
  }
  Json steps = Json::array();
  for (const std::string& pattern : patterns_of(vocabulary)) {
    steps.push_back(
        {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
  }
  steps.push_back(byte_level(false));
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

Json decoder(const Vocabulary& vocabulary) {
  if (vocabulary.model == TokenizerModel::bpe) return byte_level(true);
  Json steps = Json::array({replace(kLowerBlock, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}});
  if (vocabulary.space_prefix != SpacePrefix::none) {
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  }
  return {{"type", "Sequence"}, {"decoders", steps}};
}

std::string spelling(const Vocabulary& vocabulary, size_t id) {
  const std::string& token = vocabulary.tokens[id];
  if (vocabulary.model == TokenizerModel::spm) return spm_spelling(token, vocabulary.types[id]);
  return is_added(vocabulary.types[id]) ? token : spell_bytes(token);
}

// Puts the begin token before the text and the end token behind it where the vocabulary asks for them.
Json post_processor(const Vocabulary& vocabulary) {
  Json single = Json::array(), pair = Json::array(), specials = Json::object();
  const auto put = [&](bool asked, const std::optional<int32_t>& id) {
    if (!asked || !id) return;
    const std::string name = spelling(vocabulary, static_cast<size_t>(*id));
    const Json part = {{"SpecialToken", {{"id", name}, {"type_id", 0}}}};
    single.push_back(part);
    pair.push_back(part);
    specials[name] = {{"id", name}, {"ids", Json::array({*id})}, {"tokens", Json::array({name})}};
  };
  const auto text = [](const char* which, int type) {
    return Json{{"Sequence", {{"id", which}, {"type_id", type}}}};
  };
  put(vocabulary.add_bos, vocabulary.bos);
  single.push_back(text("A", 0));
  pair.push_back(text("A", 0));
  put(vocabulary.add_eos, vocabulary.eos);
  if (specials.empty()) return vocabulary.model == TokenizerModel::bpe ? byte_level(false) : Json();
  pair.push_back(text("B", 1));
  return {{"type", "TemplateProcessing"}, {"single", single}, {"pair", pair}, {"special_tokens", specials}};
}

Json added_token(const Vocabulary& vocabulary, size_t id) {
  const std::string& token = vocabulary.tokens[id];
  if (utf8_valid_prefix(token) != token.size()) {
    fail(ErrorKind::bad_input, "vocabulary: special token {} is not UTF-8 and can't be written", id);
  }
  return {{"id", id},
          {"content", token},
          {"single_word", false},
          {"lstrip", false},
          {"rstrip", false},
          {"normalized", false},
          {"special", vocabulary.types[id] != TokenType::user_defined}};
}

Json merges(const Vocabulary& vocabulary) {
  Json list = Json::array();
  if (vocabulary.model == TokenizerModel::spm) {
    for (const auto& [left, right] : spm_merges(vocabulary)) {
      list.push_back(
          Json::array({spm_spelling(left, TokenType::normal), spm_spelling(right, TokenType::normal)}));
    }
    return list;
  }
  for (const auto& [left, right] : vocabulary.merges) {
    list.push_back(Json::array({spell_bytes(left), spell_bytes(right)}));
  }
  return list;
}

Json model(const Vocabulary& vocabulary) {
  // Filled through its container: ordered_json's own insertion looks through all keys before it.
  Json::object_t entries;
  auto& list = static_cast<Json::object_t::Container&>(entries);
  list.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) list.emplace_back(spelling(vocabulary, id), id);
  const bool spm = vocabulary.model == TokenizerModel::spm;
  const bool unk = spm && vocabulary.unk && is_added(vocabulary.types[static_cast<size_t>(*vocabulary.unk)]);
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", unk ? Json(vocabulary.tokens[static_cast<size_t>(*vocabulary.unk)]) : Json()},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", spm},
          {"byte_fallback", spm},
          {"ignore_merges", !spm && ignores_merges(vocabulary)},
          {"vocab", std::move(entries)},
          {"merges", merges(vocabulary)}};
}

}  // namespace

std::string tokenizer_json(const Vocabulary& vocabulary) {
  Json added = Json::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (is_added(vocabulary.types[id])) added.push_back(added_token(vocabulary, id));
  }
  const Json file = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", std::move(added)},
                     {"normalizer", normalizer(vocabulary)},
                     {"pre_tokenizer", pre_tokenizer(vocabulary)},
                     {"post_processor", post_processor(vocabulary)},
                     {"decoder", decoder(vocabulary)},
                     {"model", model(vocabulary)}};
  return file.dump(1) + "\n";
}

}  // namespace tern
