#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <chrono>

#include "base/error.h"
#include "text/utf8.h"

namespace tern {
namespace {

template <auto Free>
struct Freer {
  template <typename T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using Code = std::unique_ptr<pcre2_code, Freer<pcre2_code_free>>;
using CompileContext = std::unique_ptr<pcre2_compile_context, Freer<pcre2_compile_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freer<pcre2_match_data_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freer<pcre2_match_context_free>>;

// One match may walk back over a run of megabytes, but not without end.
constexpr uint32_t kMatchSteps = 50'000'000;

// All matches of a text; patterns that real files have need a fiftieth of it.
constexpr double kSeconds = 1, kSecondsPerByte = 2e-6;

std::string message(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  return reinterpret_cast<const char*>(text.data());
}

Code compile(std::string_view pattern) {
  const CompileContext context(pcre2_compile_context_create(nullptr));
  if (!context) fail(ErrorKind::limit, "pre-tokenizer: out of memory");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  const std::string words = pcre2_pattern(pattern);
  int error = 0;
  PCRE2_SIZE where = 0;
  // $ and ^ are of lines, as Oniguruma's.
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(words.data()), words.size(),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &error, &where, context.get()));
  if (!code) {
    fail(ErrorKind::bad_input, "pattern \"{}\": {} (at byte {} of \"{}\")", pattern, message(error), where,
         words);
  }
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // where it fails, the interpreter runs
  return code;
}

// Stops a text whose matches together take too long.
class Deadline {
 public:
  explicit Deadline(size_t bytes)
      : end_(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                                kSeconds + kSecondsPerByte * static_cast<double>(bytes)))) {}

  void check(size_t at) {
    if (++matches_ % 64 == 0 && Clock::now() > end_) {
      fail(ErrorKind::limit, "pre-tokenizer: its patterns take too long on this text (at byte {})", at);
    }
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point end_;
  uint64_t matches_ = 0;
};

}  // namespace

struct Regex::Compiled {
  explicit Compiled(std::string_view pattern)
      : code(compile(pattern)), context(pcre2_match_context_create(nullptr)) {
    if (!context) fail(ErrorKind::limit, "pre-tokenizer: out of memory");
    pcre2_set_match_limit(context.get(), kMatchSteps);
  }

  bool match(std::string_view text, size_t from, pcre2_match_data* data) const {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    int found = pcre2_match(code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK, data, context.get());
    if (found == PCRE2_ERROR_JIT_STACKLIMIT) {
      found = pcre2_match(code.get(), subject, text.size(), from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data,
                          context.get());
    }
    if (found == PCRE2_ERROR_NOMATCH) return false;
    if (found < 0) fail(ErrorKind::limit, "pre-tokenizer at byte {}: {}", from, message(found));
    return true;
  }

  Code code;
  MatchContext context;
};

Regex::Regex(std::string_view pattern) : compiled_(std::make_unique<Compiled>(pattern)) {}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;

void Regex::split(std::string_view text, std::vector<std::string_view>& pieces) const {
  const MatchData data(pcre2_match_data_create(1, nullptr));
  if (!data) fail(ErrorKind::limit, "pre-tokenizer: out of memory");
  Deadline deadline(text.size());
  size_t begin = 0;   // of the piece that is not yet given out
  size_t search = 0;  // where the next match is looked for
  while (search < text.size() && compiled_->match(text, search, data.get())) {
    deadline.check(search);
    const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data.get());
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

}  // namespace tern
