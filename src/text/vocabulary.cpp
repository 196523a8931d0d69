#include "text/vocabulary.h"

#include <algorithm>
#include <limits>
#include <variant>

#include "base/error.h"
#include "files/gguf.h"
#include "text/byte_unicode.h"
#include "text/end_tokens.h"
#include "text/pretokenizer.h"
#include "text/spm.h"
#include "text/utf8.h"

namespace tern {
namespace {

constexpr const char* kModel = "tokenizer.ggml.model";
constexpr const char* kPre = "tokenizer.ggml.pre";
constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kScores = "tokenizer.ggml.scores";
constexpr const char* kMerges = "tokenizer.ggml.merges";
constexpr const char* kEot = "tokenizer.ggml.eot_token_id";
constexpr const char* kEom = "tokenizer.ggml.eom_token_id";
constexpr const char* kEnds = "tokenizer.ggml.eos_token_ids";
constexpr const char* kAddBos = "tokenizer.ggml.add_bos_token";
constexpr const char* kAddEos = "tokenizer.ggml.add_eos_token";
constexpr const char* kAddSpace = "tokenizer.ggml.add_space_prefix";
constexpr const char* kTemplate = "tokenizer.chat_template";
constexpr const char* kClosingLine = "tern.thinking.closing_line";

struct SpecialKey {
  const char* key;
  std::optional<int32_t> Vocabulary::*id;
};
constexpr SpecialKey kSpecialKeys[] = {
    {"tokenizer.ggml.bos_token_id", &Vocabulary::bos},
    {"tokenizer.ggml.eos_token_id", &Vocabulary::eos},
    {kEot, &Vocabulary::eot},
    {kEom, &Vocabulary::eom},
    {"tokenizer.ggml.unknown_token_id", &Vocabulary::unk},
    {"tokenizer.ggml.padding_token_id", &Vocabulary::pad},
};

bool is_learned(TokenType type) {
  return type == TokenType::normal || type == TokenType::unused;
}

std::vector<TokenType> read_types(const GgufFile& file, size_t n_vocab) {
  if (!file.find(kTypes)) return std::vector<TokenType>(n_vocab, TokenType::normal);
  const std::vector<int64_t>& numbers = file.get_ints(kTypes);
  if (numbers.size() != n_vocab) {
    fail(ErrorKind::bad_input, "{}: {} has {} entries, expected {} as in {}", file.name(), kTypes,
         numbers.size(), n_vocab, kTokens);
  }
  std::vector<TokenType> types;
  types.reserve(n_vocab);
  for (const int64_t number : numbers) {
    if (number < 1 || number > 6) {
      fail(ErrorKind::bad_input, "{}: {}[{}] is {}, expected 1 to 6", file.name(), kTypes, types.size(),
           number);
    }
    types.push_back(static_cast<TokenType>(number));
  }
  return types;
}

std::optional<int32_t> read_id(const GgufFile& file, const char* key, size_t n_vocab) {
  if (!file.find(key)) return std::nullopt;
  const uint64_t id = file.get_uint(key);
  if (id >= n_vocab) {
    fail(ErrorKind::bad_input, "{}: {} is {}, expected less than {}", file.name(), key, id, n_vocab);
  }
  return static_cast<int32_t>(id);
}

std::pair<std::string, std::string> read_merge(const GgufFile& file, std::string_view merge, size_t rank) {
  // A spelled byte is never a space, so the first space parts the pair.
  const size_t space = merge.find(' ');
  if (space != std::string_view::npos) {
    const auto left = unspell_bytes(merge.substr(0, space));
    const auto right = unspell_bytes(merge.substr(space + 1));
    if (left && right && !left->empty() && !right->empty()) return {*left, *right};
  }
  fail(ErrorKind::bad_input, "{}: {}[{}] is \"{}\", expected two spelled tokens and a space between",
       file.name(), kMerges, rank, merge);
}

std::vector<float> read_scores(const GgufFile& file, size_t n_vocab) {
  const GgufValue* value = file.find(kScores);
  const auto* numbers = value ? std::get_if<std::vector<double>>(value) : nullptr;
  if (!numbers || numbers->size() != n_vocab) {
    fail(ErrorKind::bad_input, "{}: {}: expected {} numbers", file.name(), kScores, n_vocab);
  }
  return {numbers->begin(), numbers->end()};
}

// Some learned or unused entries are not spelled in GPT-2's way (padding tokens): those are their own text.
std::string bpe_bytes(const std::string& spelled, TokenType type) {
  std::optional<std::string> bytes;
  if (is_learned(type)) bytes = unspell_bytes(spelled);
  return bytes.value_or(spelled);
}

void read_bpe(const GgufFile& file, Vocabulary& vocabulary) {
  vocabulary.pre = file.string_or(kPre, "default");
  vocabulary.add_bos = pre_tokenizer_rule(vocabulary.pre).add_bos;
  const std::vector<std::string>& merges = file.get_strings(kMerges);
  vocabulary.merges.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    vocabulary.merges.push_back(read_merge(file, merges[rank], rank));
  }
}

// A file that says nothing of these keys means the ids and flags of Llama 2.
void read_spm(const GgufFile& file, Vocabulary& vocabulary, size_t n_vocab) {
  vocabulary.model = TokenizerModel::spm;
  vocabulary.pre.clear();
  vocabulary.scores = read_scores(file, n_vocab);
  vocabulary.space_prefix = file.bool_or(kAddSpace, true) ? SpacePrefix::always : SpacePrefix::none;
  vocabulary.add_bos = true;
  if (n_vocab > 2) vocabulary.unk = 0, vocabulary.bos = 1, vocabulary.eos = 2;
  if (file.bool_or("tokenizer.ggml.remove_extra_whitespaces", false)) {
    fail(ErrorKind::unsupported, "{}: tokenizer.ggml.remove_extra_whitespaces is true, tern keeps them",
         file.name());
  }
}

std::string token_bytes(const Vocabulary& vocabulary, const std::string& written, size_t id) {
  const TokenType type = vocabulary.types[id];
  if (vocabulary.model == TokenizerModel::bpe) return bpe_bytes(written, type);
  return spm_bytes(written, type);
}

std::string token_spelling(const Vocabulary& vocabulary, size_t id) {
  const TokenType type = vocabulary.types[id];
  const std::string& token = vocabulary.tokens[id];
  if (vocabulary.model == TokenizerModel::spm) return spm_spelling(token, type);
  return is_learned(type) ? spell_bytes(token) : token;
}

// Ends besides eos. An array of them all is Ollama's; llama.cpp reads two keys of one id each, and knows
// others by name.
void read_ends(const GgufFile& file, Vocabulary& vocabulary, size_t n_vocab) {
  if (!file.find(kEnds)) return;
  std::vector<bool> known(n_vocab, false);
  if (vocabulary.eos) known[*vocabulary.eos] = true;
  for (const int64_t id : file.get_ints(kEnds)) {
    if (id < 0 || static_cast<uint64_t>(id) >= n_vocab) {
      fail(ErrorKind::bad_input, "{}: {} has {}, expected 0 to {}", file.name(), kEnds, id, n_vocab - 1);
    }
    if (!known[id]) vocabulary.ends.push_back(static_cast<int32_t>(id));
    known[id] = true;
  }
}

void write_ends(const Vocabulary& vocabulary, GgufWriter& file) {
  if (vocabulary.ends.empty()) return;
  file.add_i32s(kEnds, vocabulary.ends);
  std::vector<const char*> free_keys;
  if (!vocabulary.eom) free_keys.push_back(kEom);
  if (!vocabulary.eot) free_keys.push_back(kEot);
  const std::vector<bool> named = named_ends(vocabulary);
  for (const int32_t id : vocabulary.ends) {
    if (free_keys.empty()) return;
    if (named[id] || id == vocabulary.eos || id == vocabulary.eot || id == vocabulary.eom) continue;
    file.add_u32(free_keys.back(), static_cast<uint32_t>(id));
    free_keys.pop_back();
  }
}

}  // namespace

std::optional<int32_t> Vocabulary::find(std::string_view bytes) const {
  const auto at = std::find(tokens.begin(), tokens.end(), bytes);
  if (at == tokens.end()) return std::nullopt;
  return static_cast<int32_t>(at - tokens.begin());
}

Vocabulary read_vocabulary(const GgufFile& file) {
  if (!file.folder().empty()) return read_hf_vocabulary(file.folder());
  const std::string model = file.get_string(kModel);
  if (model != "gpt2" && model != "llama") {
    fail(ErrorKind::unsupported,
         "{}: {} is \"{}\", tern knows gpt2 (byte-level BPE) and llama (SentencePiece)", file.name(), kModel,
         model);
  }
  const std::vector<std::string>& written = file.get_strings(kTokens);
  if (written.empty() || written.size() > std::numeric_limits<int32_t>::max()) {
    fail(ErrorKind::bad_input, "{}: {} has {} entries", file.name(), kTokens, written.size());
  }
  Vocabulary vocabulary;
  vocabulary.types = read_types(file, written.size());
  if (model == "gpt2") {
    read_bpe(file, vocabulary);
  } else {
    read_spm(file, vocabulary, written.size());
  }
  vocabulary.tokens.reserve(written.size());
  for (size_t id = 0; id < written.size(); ++id) {
    vocabulary.tokens.push_back(token_bytes(vocabulary, written[id], id));
  }
  for (const auto& [key, member] : kSpecialKeys) {
    if (file.find(key)) vocabulary.*member = read_id(file, key, written.size());
  }
  read_ends(file, vocabulary, written.size());
  vocabulary.add_bos = file.bool_or(kAddBos, vocabulary.add_bos);
  vocabulary.add_eos = file.bool_or(kAddEos, false);
  vocabulary.chat_template = file.string_or(kTemplate, "");
  vocabulary.closing_line = file.string_or(kClosingLine, "");
  return vocabulary;
}

void write_vocabulary(const Vocabulary& vocabulary, GgufWriter& file) {
  const bool spm = vocabulary.model == TokenizerModel::spm;
  if (!spm && vocabulary.pre.empty()) {
    fail(ErrorKind::unsupported, "vocabulary: no name in GGUF is known for its pre-tokenizer, \"{}\"",
         fmt::join(vocabulary.patterns, "\", \""));
  }
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    tokens.push_back(token_spelling(vocabulary, id));
    if (utf8_valid_prefix(tokens.back()) != tokens.back().size()) {
      fail(ErrorKind::bad_input, "vocabulary: token {} is not UTF-8 and can't be written", id);
    }
    types.push_back(static_cast<int32_t>(vocabulary.types[id]));
  }
  file.add_string(kModel, spm ? "llama" : "gpt2");
  file.add_string(kPre, spm ? "default" : vocabulary.pre);
  file.add_strings(kTokens, std::move(tokens));
  file.add_i32s(kTypes, std::move(types));
  if (spm) {
    file.add_f32s(kScores, spm_scores(vocabulary));
    file.add_bool(kAddSpace, vocabulary.space_prefix != SpacePrefix::none);
  } else {
    for (const auto& [left, right] : vocabulary.merges)
      merges.push_back(spell_bytes(left) + ' ' + spell_bytes(right));
    file.add_strings(kMerges, std::move(merges));
  }
  for (const auto& [key, member] : kSpecialKeys) {
    if (vocabulary.*member) file.add_u32(key, static_cast<uint32_t>(*(vocabulary.*member)));
  }
  write_ends(vocabulary, file);
  file.add_bool(kAddBos, vocabulary.add_bos);
  if (spm || vocabulary.add_eos) file.add_bool(kAddEos, vocabulary.add_eos);
  if (!vocabulary.chat_template.empty()) file.add_string(kTemplate, vocabulary.chat_template);
  if (!vocabulary.closing_line.empty()) file.add_string(kClosingLine, vocabulary.closing_line);
}

}  // namespace tern
