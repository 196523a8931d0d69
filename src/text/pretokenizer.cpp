#include "text/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <limits>

#include "base/error.h"
#include "text/utf8.h"

namespace tern {
namespace {

// Unicode's White_Space, listed: PCRE2's \s under UCP also takes U+180E.
constexpr std::string_view kWhiteSpace =
    R"(\t-\r\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// One to three digits a piece (Llama 3), one digit a piece (Qwen 2); otherwise the same.
constexpr std::string_view kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
    R"(|\s+(?!\S)|\s+)";
constexpr std::string_view kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+)"
    R"(|\s+(?!\S)|\s+)";

// Cased letters, as DeepSeek LLM's tokenizer lists them.
constexpr std::string_view kDeepseekWord =
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C})"
    R"(\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5})"
    R"(\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B})"
    R"(\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45})"
    R"(\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4})"
    R"(\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB})"
    R"(\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115})"
    R"(\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139})"
    R"(\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4})"
    R"(\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17})"
    R"(\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB})"
    R"(\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+)";
constexpr std::string_view kDeepseekHan = R"([\x{800}-\x{9FA5}\x{AC00}-\x{D7FF}]+)";

const std::vector<PreTokenizerRule>& rules() {
  static const std::vector<PreTokenizerRule> table = {
      // Radford et al. 2019, encoder.py.
      {.name = "gpt-2",
       .patterns = {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"}},
      {.name = "llama-bpe", .patterns = {kLlama3}, .ignore_merges = true, .add_bos = true},
      {.name = "llama3", .patterns = {kLlama3}, .ignore_merges = true, .add_bos = true},
      {.name = "qwen2", .patterns = {kQwen2}},
      // The look-behind changes no match: it only keeps a run of white space inside the text from being
      // looked through from each of its bytes.
      {.name = "deepseek-llm",
       .patterns = {R"([\r\n])", kDeepseekWord,
                    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
                    R"((?<!\s)\s+$)", kDeepseekHan, R"(\p{N})"}},
      {.name = "deepseek-coder",
       .patterns = {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekHan, R"(\p{N})"}},
      {.name = "deepseek-v3",
       .patterns = {R"(\p{N}{1,3})", R"([\x{3040}-\x{30FF}\x{4E00}-\x{9FA5}]+)",
                    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
                    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
  };
  return table;
}

// The table's spelling in PCRE2's words: white space listed, scripts without their extensions.
std::string in_pcre2_words(std::string_view pattern) {
  std::string words;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c != '\\') {
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      words += c;
      continue;
    }
    const char escaped = i + 1 < pattern.size() ? pattern[i + 1] : '\0';
    ++i;
    if (escaped == 's') {
      words += in_class ? std::string(kWhiteSpace) : "[" + std::string(kWhiteSpace) + "]";
    } else if (escaped == 'S' && !in_class) {
      words += "[^" + std::string(kWhiteSpace) + "]";
    } else if (pattern.substr(i).starts_with("p{Han}")) {
      words += R"(\p{sc:Han})";
      i += 5;
    } else {
      words += '\\';
      words += escaped;
    }
  }
  return words;
}

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Code = std::unique_ptr<pcre2_code, Freer<pcre2_code_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freer<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freer<pcre2_match_context_free>>;

std::string pcre2_message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

}  // namespace

class PreTokenizer::Pattern {
 public:
  explicit Pattern(std::string_view pattern) {
    const std::string words = in_pcre2_words(pattern);
    int error = 0;
    PCRE2_SIZE offset = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(words.data()), words.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &offset, nullptr));
    if (!code_) {
      fail(ErrorKind::internal, "pre-tokenizer pattern {}: {} at {}", pattern, pcre2_message(error), offset);
    }
    // Without a JIT on this machine the interpreter matches the same, only slower.
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
    context_.reset(pcre2_match_context_create(nullptr));
    if (!context_) fail(ErrorKind::limit, "pre-tokenizer: out of memory");
    // The limit stops patterns that backtrack without end; those of the table only walk back once over a run,
    // and a run may be megabytes.
    pcre2_set_match_limit(context_.get(), std::numeric_limits<uint32_t>::max());
  }

  // Appends the matches and gaps of `text`, which is well-formed UTF-8. `data` has room for one match.
  void split(std::string_view text, pcre2_match_data* data, std::vector<std::string_view>& pieces) const {
    size_t begin = 0;   // of the piece that is not yet given out
    size_t search = 0;  // where the next match is looked for
    while (search < text.size() && match(text, search, data)) {
      const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data);
      if (span[1] == span[0]) {  // an empty match cuts nothing
        search = span[1] + (span[1] < text.size() ? utf8_step(text.substr(span[1])).bytes : 1);
        continue;
      }
      if (span[0] > begin) pieces.push_back(text.substr(begin, span[0] - begin));
      pieces.push_back(text.substr(span[0], span[1] - span[0]));
      begin = search = span[1];
    }
    if (begin < text.size()) pieces.push_back(text.substr(begin));
  }

 private:
  bool match(std::string_view text, size_t from, pcre2_match_data* data) const {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    int found =
        pcre2_match(code_.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK, data, context_.get());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      found = pcre2_match(code_.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data,
                          context_.get());
    }
    if (found == PCRE2_ERROR_NOMATCH) return false;
    if (found < 0) fail(ErrorKind::limit, "pre-tokenizer at byte {}: {}", from, pcre2_message(found));
    return true;
  }

  Code code_;
  MatchContext context_;
};

const PreTokenizerRule& pre_tokenizer_rule(std::string_view name) {
  std::string known;
  for (const PreTokenizerRule& rule : rules()) {
    if (rule.name == name) return rule;
    if (!known.empty()) known += ", ";
    known += rule.name;
  }
  fail(ErrorKind::unsupported, "pre-tokenizer \"{}\" is not one that tern knows ({})", name, known);
}

PreTokenizer::PreTokenizer(std::string_view name) : rule_(pre_tokenizer_rule(name)) {
  for (const std::string_view pattern : rule_.patterns)
    patterns_.push_back(std::make_unique<Pattern>(pattern));
}

PreTokenizer::~PreTokenizer() = default;

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  const MatchData data(pcre2_match_data_create(1, nullptr));
  if (!data) fail(ErrorKind::limit, "pre-tokenizer: out of memory");
  std::vector<std::string_view> pieces, cut;
  while (!text.empty()) {
    const size_t valid = utf8_valid_prefix(text);
    const size_t first = pieces.size();
    if (valid > 0) pieces.push_back(text.substr(0, valid));
    for (const auto& pattern : patterns_) {
      cut.assign(pieces.begin() + static_cast<ptrdiff_t>(first), pieces.end());
      pieces.resize(first);
      for (const std::string_view piece : cut) pattern->split(piece, data.get(), pieces);
    }
    if (valid < text.size()) pieces.push_back(text.substr(valid, 1));
    text.remove_prefix(std::min(valid + 1, text.size()));
  }
  return pieces;
}

}  // namespace tern
