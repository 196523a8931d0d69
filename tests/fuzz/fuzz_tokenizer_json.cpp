// Any bytes as a tokenizer.json: what is read is a tokenizer, and what is written of it reads the same.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"
#include "files/gguf.h"
#include "tests/fuzz/check_text.h"
#include "tests/fuzz/require.h"
#include "text/tokenizer.h"

namespace tern {
namespace {

constexpr std::string_view kText =
    "The red  shoes\n\n don't cost 1234.50€, größer o\u0308 日本語 👩‍👧 <s></s><think>\xff\xc3 "
    "\t";

void check(const Tokenizer& tokenizer, std::string_view text) {
  try {
    check_text(tokenizer, text);
  } catch (const Error& error) {
    // Patterns of a file may take too long, which is said so.
    require(error.kind() == ErrorKind::limit && tokenizer.vocabulary().pre.empty(), error.what());
  }
}

// Of the two forms that a vocabulary may be written in, the one that holds it whole.
void check_written(const Tokenizer& tokenizer) {
  const Vocabulary& vocabulary = tokenizer.vocabulary();
  std::string json;
  try {
    json = tokenizer_json(vocabulary);
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::bad_input, error.what());  // a special token that is no UTF-8
    return;
  }
  const Vocabulary back = parse_tokenizer_json(json, "written");
  require(back.tokens == vocabulary.tokens && back.merges == vocabulary.merges,
          "tokens and merges come back");
  require(back.pre == vocabulary.pre && back.patterns == vocabulary.patterns, "the pre-tokenizer comes back");
}

void check_gguf(const Tokenizer& tokenizer) {
  GgufWriter writer;
  try {
    write_vocabulary(tokenizer.vocabulary(), writer);
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::bad_input || error.kind() == ErrorKind::unsupported, error.what());
    return;
  }
  const auto bytes = writer.bytes();
  const Vocabulary back = read_vocabulary(GgufFile::parse(bytes, "written"));
  require(back.tokens == tokenizer.vocabulary().tokens, "tokens come back from GGUF");
}

}  // namespace
}  // namespace tern

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  try {
    const tern::Tokenizer tokenizer(tern::parse_tokenizer_json(text, "input"));
    tern::check(tokenizer, tern::kText);
    tern::check(tokenizer, text.substr(0, 200));
    tern::check_written(tokenizer);
    tern::check_gguf(tokenizer);
  } catch (const tern::Error& error) {
    tern::require(error.kind() != tern::ErrorKind::internal, error.what());
  }
  return 0;
}
