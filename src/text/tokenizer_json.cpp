// The text of tokenizer.json, as Hugging Face's `tokenizers` reads it.
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/byte_unicode.h"
#include "text/pretokenizer.h"
#include "text/utf8.h"
#include "text/vocabulary.h"

namespace tern {
namespace {

using Json = nlohmann::ordered_json;

bool is_special(TokenType type) {
  return type == TokenType::control || type == TokenType::user_defined;
}

Json byte_level(bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

Json pre_tokenizer(const PreTokenizerRule& rule) {
  Json steps = Json::array();
  for (const std::string& pattern : rule.patterns) {
    steps.push_back(
        {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}, {"invert", false}});
  }
  steps.push_back(byte_level(false));
  return {{"type", "Sequence"}, {"pretokenizers", steps}};
}

// Puts the begin token before the text where the vocabulary asks for it.
Json post_processor(const Vocabulary& vocabulary) {
  if (!vocabulary.add_bos || !vocabulary.bos) return byte_level(false);
  const std::string& bos = vocabulary.tokens[static_cast<size_t>(*vocabulary.bos)];
  const Json begin = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}};
  const Json first = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  const Json second = {{"Sequence", {{"id", "B"}, {"type_id", 1}}}};
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({begin, first})},
          {"pair", Json::array({begin, first, begin, second})},
          {"special_tokens",
           {{bos, {{"id", bos}, {"ids", Json::array({*vocabulary.bos})}, {"tokens", Json::array({bos})}}}}}};
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
          {"special", vocabulary.types[id] == TokenType::control}};
}

Json model(const Vocabulary& vocabulary, const PreTokenizerRule& rule) {
  // Filled through its container: ordered_json's own insertion looks through all keys before it.
  Json::object_t entries;
  auto& list = static_cast<Json::object_t::Container&>(entries);
  list.reserve(vocabulary.tokens.size());
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    list.emplace_back(is_special(vocabulary.types[id]) ? token : spell_bytes(token), id);
  }
  Json merges = Json::array();
  for (const auto& [left, right] : vocabulary.merges) {
    merges.push_back(Json::array({spell_bytes(left), spell_bytes(right)}));
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", rule.ignore_merges},
          {"vocab", std::move(entries)},
          {"merges", std::move(merges)}};
}

}  // namespace

std::string tokenizer_json(const Vocabulary& vocabulary) {
  const PreTokenizerRule& rule = pre_tokenizer_rule(vocabulary.pre);
  Json added = Json::array();
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    if (is_special(vocabulary.types[id])) added.push_back(added_token(vocabulary, id));
  }
  const Json file = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", std::move(added)},
                     {"normalizer", nullptr},
                     {"pre_tokenizer", pre_tokenizer(rule)},
                     {"post_processor", post_processor(vocabulary)},
                     {"decoder", byte_level(true)},
                     {"model", model(vocabulary, rule)}};
  return file.dump(1) + "\n";
}

}  // namespace tern
