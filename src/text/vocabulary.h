// What a tokenizer knows: its tokens, merges, special ids and pre-tokenizer, as GGUF files store them.
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

struct Vocabulary {
  std::string pre = "gpt-2";  ///< the pre-tokenizer's name, `tokenizer.ggml.pre`
  std::vector<std::string>
      tokens;  ///< {n_vocab}, the raw bytes of each token (not the byte-to-unicode spelling)
  std::vector<TokenType> types;                             ///< {n_vocab}
  std::vector<std::pair<std::string, std::string>> merges;  ///< raw bytes of each pair, best rank first
  std::optional<int32_t> bos, eos;
  bool add_bos = false;
  std::string chat_template;  ///< Jinja text, may be empty

  int32_t size() const { return static_cast<int32_t>(tokens.size()); }
  /// The id of exactly this token; nothing if absent. Linear.
  std::optional<int32_t> find(std::string_view bytes) const;
};

/// Reads `tokenizer.*`. Throws Error{bad_input | unsupported} naming the file and key.
Vocabulary read_vocabulary(const GgufFile& file);

/// Writes `tokenizer.*` so that llama.cpp reads it (FACTS: gpt2 model, byte-to-unicode spelling, I32 types).
void write_vocabulary(const Vocabulary& vocabulary, GgufWriter& file);

/// The text of a Hugging Face `tokenizer.json` (byte-level BPE) that `tokenizers` loads to the same ids.
std::string tokenizer_json(const Vocabulary& vocabulary);

}  // namespace tern
