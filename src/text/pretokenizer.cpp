#include "text/pretokenizer.h"

#include <algorithm>

#include "text/utf8.h"
#include "text/vocabulary.h"

namespace tern {

PreTokenizer::PreTokenizer(std::string_view name)
    : PreTokenizer(pre_tokenizer_rule(name).patterns, pre_tokenizer_rule(name).ignore_merges) {}

PreTokenizer::PreTokenizer(const std::vector<std::string>& patterns, bool ignore_merges)
    : ignore_merges_(ignore_merges) {
  for (const std::string& pattern : patterns) {
    Step& step = steps_.emplace_back(Step{find_scanner(pattern), std::nullopt});
    if (!step.scanner) step.regex.emplace(pattern);
  }
}

PreTokenizer::PreTokenizer(const Vocabulary& vocabulary)
    : PreTokenizer(vocabulary.pre.empty() ? PreTokenizer(vocabulary.patterns, vocabulary.ignore_merges)
                                          : PreTokenizer(vocabulary.pre)) {}

std::vector<std::string_view> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string_view> pieces, cut;
  while (!text.empty()) {
    const size_t valid = utf8_valid_prefix(text);
    const size_t first = pieces.size();
    if (valid > 0) pieces.push_back(text.substr(0, valid));
    for (const Step& step : steps_) {
      cut.assign(pieces.begin() + static_cast<ptrdiff_t>(first), pieces.end());
      pieces.resize(first);
      for (const std::string_view piece : cut) {
        if (step.scanner) {
          step.scanner(piece, pieces);
        } else {
          step.regex->split(piece, pieces);
        }
      }
    }
    if (valid < text.size()) pieces.push_back(text.substr(valid, 1));
    text.remove_prefix(std::min(valid + 1, text.size()));
  }
  return pieces;
}

}  // namespace tern
