#include "text/vocabulary.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "files/gguf.h"
#include "text/byte_unicode.h"
#include "text/pretokenizer.h"
#include "text/utf8.h"

namespace tern {
namespace {

constexpr const char* kModel = "tokenizer.ggml.model";
constexpr const char* kPre = "tokenizer.ggml.pre";
constexpr const char* kTokens = "tokenizer.ggml.tokens";
constexpr const char* kTypes = "tokenizer.ggml.token_type";
constexpr const char* kMerges = "tokenizer.ggml.merges";
constexpr const char* kBos = "tokenizer.ggml.bos_token_id";
constexpr const char* kEos = "tokenizer.ggml.eos_token_id";
constexpr const char* kAddBos = "tokenizer.ggml.add_bos_token";
constexpr const char* kTemplate = "tokenizer.chat_template";

bool is_learned(TokenType type) {
  return type == TokenType::normal || type == TokenType::unused;
}

// Special tokens stand in files as their text, learned ones byte by byte in GPT-2's spelling.
std::string spelling_of(const Vocabulary& vocabulary, size_t id) {
  const std::string& token = vocabulary.tokens[id];
  if (is_learned(vocabulary.types[id])) return spell_bytes(token);
  if (utf8_valid_prefix(token) != token.size()) {
    fail(ErrorKind::bad_input, "vocabulary: special token {} is not UTF-8 and can't be written", id);
  }
  return token;
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

}  // namespace

std::optional<int32_t> Vocabulary::find(std::string_view bytes) const {
  const auto at = std::find(tokens.begin(), tokens.end(), bytes);
  if (at == tokens.end()) return std::nullopt;
  return static_cast<int32_t>(at - tokens.begin());
}

Vocabulary read_vocabulary(const GgufFile& file) {
  const std::string model = file.get_string(kModel);
  if (model != "gpt2") {
    fail(ErrorKind::unsupported, "{}: {} is \"{}\", tern knows gpt2 (byte-level BPE)", file.name(), kModel,
         model);
  }
  Vocabulary vocabulary;
  vocabulary.pre = file.string_or(kPre, "default");
  const PreTokenizerRule& rule = pre_tokenizer_rule(vocabulary.pre);

  const std::vector<std::string>& spelled = file.get_strings(kTokens);
  if (spelled.empty() || spelled.size() > std::numeric_limits<int32_t>::max()) {
    fail(ErrorKind::bad_input, "{}: {} has {} entries", file.name(), kTokens, spelled.size());
  }
  vocabulary.types = read_types(file, spelled.size());
  vocabulary.tokens.reserve(spelled.size());
  for (size_t id = 0; id < spelled.size(); ++id) {
    // Some learned or unused entries are not spelled in GPT-2's way (padding tokens): those are their own
    // text.
    std::optional<std::string> bytes;
    if (is_learned(vocabulary.types[id])) bytes = unspell_bytes(spelled[id]);
    vocabulary.tokens.push_back(bytes.value_or(spelled[id]));
  }

  const std::vector<std::string>& merges = file.get_strings(kMerges);
  vocabulary.merges.reserve(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    vocabulary.merges.push_back(read_merge(file, merges[rank], rank));
  }
  vocabulary.bos = read_id(file, kBos, spelled.size());
  vocabulary.eos = read_id(file, kEos, spelled.size());
  vocabulary.add_bos = file.bool_or(kAddBos, rule.add_bos);
  vocabulary.chat_template = file.string_or(kTemplate, "");
  return vocabulary;
}

void write_vocabulary(const Vocabulary& vocabulary, GgufWriter& file) {
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    tokens.push_back(spelling_of(vocabulary, id));
    types.push_back(static_cast<int32_t>(vocabulary.types[id]));
  }
  for (const auto& [left, right] : vocabulary.merges)
    merges.push_back(spell_bytes(left) + ' ' + spell_bytes(right));
  file.add_string(kModel, "gpt2");
  file.add_string(kPre, vocabulary.pre);
  file.add_strings(kTokens, std::move(tokens));
  file.add_i32s(kTypes, std::move(types));
  file.add_strings(kMerges, std::move(merges));
  if (vocabulary.bos) file.add_u32(kBos, static_cast<uint32_t>(*vocabulary.bos));
  if (vocabulary.eos) file.add_u32(kEos, static_cast<uint32_t>(*vocabulary.eos));
  file.add_bool(kAddBos, vocabulary.add_bos);
  if (!vocabulary.chat_template.empty()) file.add_string(kTemplate, vocabulary.chat_template);
}

}  // namespace tern
