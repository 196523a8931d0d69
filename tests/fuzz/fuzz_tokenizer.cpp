// Any bytes as text, and any GGUF file as a vocabulary: what is encoded decodes to the same bytes, and what a
// reader sees of it is always whole characters.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "files/gguf.h"
#include "tests/fuzz/check_text.h"
#include "tests/fuzz/require.h"
#include "text/chat.h"
#include "text/stream.h"
#include "text/tokenizer.h"

namespace tern {
namespace {

constexpr const char* pre_tokenizers[] = {"gpt-2",        "llama-bpe",      "deepseek-v3",
                                          "deepseek-llm", "deepseek-coder", "qwen2"};

const Tokenizer& small_tokenizer(size_t which) {
  static const auto all = [] {
    const std::vector<std::string> lines = {"the red shoe under 40 euros, don't mind the rest",
                                            "zapatos rojos más baratos", "größere Schuhe für Kinder  "};
    std::vector<Tokenizer> tokenizers;
    for (const char* pre : pre_tokenizers) {
      Vocabulary vocabulary = tern_vocabulary(lines, 320);
      vocabulary.pre = pre;
      tokenizers.emplace_back(std::move(vocabulary));
    }
    return tokenizers;
  }();
  return all[which % all.size()];
}

void check_stops(std::string_view text) {
  if (text.size() < 4) return;
  const std::string stop(text.substr(text.size() / 2, 3));
  StopStream stream({stop});
  std::string shown;
  for (const char c : text) shown += stream.push({&c, 1});
  shown += stream.finish();
  require(stream.stopped(), "a stop string that is in the text stops it");
  require(shown == text.substr(0, text.find(stop)), "what is shown ends where the stop string begins");
}

void check_file(std::span<const std::byte> bytes) {
  const auto file = GgufFile::parse(bytes, "input");
  const Tokenizer tokenizer(read_vocabulary(file));
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  check_text(tokenizer, text.substr(text.size() - std::min<size_t>(text.size(), 256)));
  // What tokenizer.json can hold comes back from it as it was.
  const Vocabulary back = parse_tokenizer_json(tokenizer_json(tokenizer.vocabulary()), "input");
  require(back.tokens == tokenizer.vocabulary().tokens, "tokens survive tokenizer.json");
}

}  // namespace
}  // namespace tern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    if (text.starts_with("GGUF")) {
      tern::check_file(std::as_bytes(std::span(data, size)));
    } else if (!text.empty()) {  // the first byte chooses the pre-tokenizer
      tern::check_text(tern::small_tokenizer(data[0]), text.substr(1));
      tern::check_stops(text.substr(1));
    }
  } catch (const tern::Error& error) {
    tern::require(error.kind() != tern::ErrorKind::internal, error.what());
    tern::require(text.starts_with("GGUF"), error.what());
  }
  return 0;
}
