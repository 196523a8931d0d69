// What a tokenizer knows: its tokens, merges or scores, special ids and pre-tokenizer, as GGUF files and
// Hugging Face folders store them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tern {

class GgufFile;
class GgufWriter;

/// The numbers are those of `tokenizer.ggml.token_type`.
enum class TokenType : int32_t {
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6
};

/// How text becomes tokens.
enum class TokenizerModel {
  bpe,  ///< byte-level BPE over the pieces of a pre-tokenizer (`tokenizer.ggml.model` = "gpt2")
  spm,  ///< SentencePiece's BPE over characters, bytes where a character has no token ("llama")
};

/// Where a SentencePiece tokenizer puts a space that the text has not.
enum class SpacePrefix {
  none,
  always,         ///< before the text and after each special token (GGUF's add_space_prefix, Prepend)
  where_missing,  ///< the same, but not before a space (Metaspace, prepend_scheme "always")
  first,          ///< before the text only, and not before a space (Metaspace, prepend_scheme "first")
};

struct Vocabulary {
  TokenizerModel model = TokenizerModel::bpe;
  /// bpe: the pre-tokenizer's name, `tokenizer.ggml.pre`. Empty where a tokenizer.json has a rule without a
  /// name: then `patterns` and `ignore_merges` are the rule.
  std::string pre = "gpt-2";
  std::vector<std::string> patterns;  ///< as PreTokenizerRule::patterns
  bool ignore_merges = false;         ///< as PreTokenizerRule::ignore_merges
  bool nfc = false;                   ///< text is brought to Unicode's form NFC first (no GGUF key says so)
  /// {n_vocab}, the raw bytes of each token: neither the byte-to-unicode spelling of bpe, nor spm's "▁" for a
  /// space, nor its "<0x0A>" for a byte.
  std::vector<std::string> tokens;
  std::vector<TokenType> types;                             ///< {n_vocab}
  std::vector<std::pair<std::string, std::string>> merges;  ///< raw bytes of each pair, best rank first
  std::vector<float>
      scores;  ///< spm without merges: {n_vocab}, the higher the earlier two tokens merge to it
  SpacePrefix space_prefix = SpacePrefix::none;  ///< spm
  bool split_spaces = false;                     ///< spm: each space begins a piece (Metaspace, split true)
  std::optional<int32_t> bos, eos, eot, eom, unk, pad;
  /// More tokens that end a reply: what generation_config.json or `tokenizer.ggml.eos_token_ids` says,
  /// without eos. Tokenizer::is_end_of_generation knows eos, eot, eom, these, and some by name.
  std::vector<int32_t> ends;
  bool add_bos = false;
  bool add_eos = false;
  std::string chat_template;  ///< Jinja text, may be empty
  std::string closing_line;   ///< what to say before thinking that was cut short is closed; may be empty

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  /// The id of exactly this token; nothing if absent. Linear.
  std::optional<int32_t> find(std::string_view bytes) const;
};

/// Reads `tokenizer.*`, or read_hf_vocabulary() where the file stands for a folder. Throws Error{bad_input |
/// unsupported} naming the file and key.
Vocabulary read_vocabulary(const GgufFile& file);

/// Reads tokenizer.json, tokenizer_config.json, generation_config.json, chat_template.jinja and, for the
/// number of tokens, config.json of a Hugging Face folder; all but the first may be missing. Tokens that the
/// model has and the tokenizer has not are named "[PAD<id>]", as llama.cpp's converter does. Throws Error{io
/// | bad_input | unsupported | limit} naming the file and what in it.
Vocabulary read_hf_vocabulary(const std::string& folder);

/// The vocabulary of the text of a tokenizer.json alone; `name` is used in errors. Throws as
/// read_hf_vocabulary.
Vocabulary parse_tokenizer_json(std::string_view text, const std::string& name);

/// Writes `tokenizer.*` so that llama.cpp reads it: model gpt2 in byte-to-unicode spelling, or model llama
/// with scores; I32 types. `ends` go into an array of their own, and the first two that have no name that
/// llama.cpp knows into eot and eom, where those are free. NFC is left out: llama.cpp's rule for such files
/// (qwen2) has none. Throws Error{unsupported} naming what GGUF has no place for: a pre-tokenizer without a
/// name, merges that no scores say.
void write_vocabulary(const Vocabulary& vocabulary, GgufWriter& file);

/// The text of a Hugging Face `tokenizer.json` that `tokenizers` loads to the same ids.
std::string tokenizer_json(const Vocabulary& vocabulary);

}  // namespace tern
