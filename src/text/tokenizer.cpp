#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/error.h"
#include "text/end_tokens.h"
#include "text/nfc.h"
#include "text/piece_cache.h"
#include "text/piece_encoder.h"
#include "text/pretokenizer.h"
#include "text/special_tokens.h"
#include "text/token_index.h"

namespace tern {
namespace {

constexpr std::string_view kLowerBlock = "\u2581";  // stands for a space in SentencePiece's vocabularies

// A text shorter than this is encoded before a cache would pay.
constexpr size_t kWorthCaching = 1024;

// Whether no learned token has a space after something else: then no merge crosses into a run of spaces.
bool spaces_lead(const Vocabulary& vocabulary) {
  for (int32_t id = 0; id < vocabulary.size(); ++id) {
    if (is_added(vocabulary.types[id]) || vocabulary.types[id] == TokenType::byte) continue;
    const std::string& token = vocabulary.tokens[id];
    const size_t word = token.find_first_not_of(' ');
    if (word != std::string::npos && token.find(' ', word) != std::string::npos) return false;
  }
  return true;
}

// The spans with adjacent ones joined.
std::vector<TextSpan> join(std::span<const TextSpan> spans, size_t text_bytes) {
  std::vector<TextSpan> joined;
  for (const TextSpan& span : spans) {
    const size_t before = joined.empty() ? 0 : joined.back().end;
    if (span.begin < before || span.end < span.begin || span.end > text_bytes) {
      fail(ErrorKind::internal, "tokenizer: trusted span {} to {} of a text of {} bytes", span.begin,
           span.end, text_bytes);
    }
    if (!joined.empty() && span.begin == before) {
      joined.back().end = span.end;
    } else if (span.begin < span.end) {
      joined.push_back(span);
    }
  }
  return joined;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(Vocabulary v)
      : vocabulary(std::move(v)),
        index(index_tokens(vocabulary)),
        specials(vocabulary),
        rules(merge_rules(vocabulary, index)),
        ends(end_tokens(vocabulary)) {
    if (vocabulary.model == TokenizerModel::bpe) {
      pre_tokenizer.emplace(vocabulary);
    } else {
      cut_at_runs = spaces_lead(vocabulary);
    }
  }

  const Vocabulary vocabulary;
  const TokenIndex index;
  const SpecialTokens specials;
  const MergeRules rules;
  const std::vector<bool> ends;
  std::optional<PreTokenizer> pre_tokenizer;  // bpe
  bool cut_at_runs = false;                   // spm: a run of spaces may begin a piece of its own
};

namespace {

/// Encodes one text.
class Encoder {
 public:
  Encoder(const Vocabulary& vocabulary, const TokenIndex& index, const MergeRules& rules,
          const PreTokenizer* pre_tokenizer, bool cut_at_runs, size_t text_bytes)
      : vocabulary_(vocabulary),
        index_(index),
        pre_tokenizer_(pre_tokenizer),
        cut_at_runs_(cut_at_runs),
        encoder_(rules) {
    ids.reserve(text_bytes / 3 + 1);
    if (text_bytes >= kWorthCaching) cache_.emplace();
  }

  // `text` has no special tokens; `first` says that nothing stands before it.
  void plain(std::string_view text, bool first) {
    if (text.empty()) return;
    if (vocabulary_.model == TokenizerModel::spm) return spm(text, first);
    if (!vocabulary_.nfc) return pieces(text);
    pieces(to_nfc(text));
  }

  std::vector<int32_t> ids;

 private:
  void pieces(std::string_view text) {
    for (const std::string_view cut : pre_tokenizer_->split(text)) piece(cut);
  }

  void spm(std::string_view text, bool first) {
    const bool spaced = text[0] == ' ' || text.starts_with(kLowerBlock);
    const SpacePrefix prefix = vocabulary_.space_prefix;
    const bool add = prefix == SpacePrefix::always || (prefix == SpacePrefix::where_missing && !spaced) ||
                     (prefix == SpacePrefix::first && first && !spaced);
    std::string changed;
    if (add || text.find(kLowerBlock) != std::string_view::npos) {
      changed = add ? " " : "";
      for (size_t at = 0; at < text.size();) {
        const size_t block = std::min(text.find(kLowerBlock, at), text.size());
        changed.append(text.substr(at, block - at));
        if (block < text.size()) changed += ' ';
        at = block + kLowerBlock.size();
      }
      text = changed;
    }
    words(text);
  }

  // Cuts where nothing merges across.
  void words(std::string_view text) {
    const bool cut = vocabulary_.split_spaces || cut_at_runs_;
    size_t begin = 0;
    for (size_t at = 1; cut && at < text.size(); ++at) {
      if (text[at] != ' ' || (!vocabulary_.split_spaces && text[at - 1] == ' ')) continue;
      piece(text.substr(begin, at - begin));
      begin = at;
    }
    piece(text.substr(begin));
  }

  void piece(std::string_view bytes) {
    if (cache_ && cache_->find(bytes, ids)) return;
    const size_t before = ids.size();
    if (!whole(bytes)) encoder_.encode(bytes, ids);
    if (cache_) cache_->keep(bytes, ids.data() + before, ids.size() - before);
  }

  bool whole(std::string_view bytes) {
    if (!pre_tokenizer_ || !pre_tokenizer_->ignore_merges()) return false;
    const int32_t id = index_.learned.find(bytes);
    if (id < 0 || vocabulary_.types[id] != TokenType::normal) return false;
    ids.push_back(id);
    return true;
  }

  const Vocabulary& vocabulary_;
  const TokenIndex& index_;
  const PreTokenizer* pre_tokenizer_;
  const bool cut_at_runs_;
  PieceEncoder encoder_;
  std::optional<PieceCache> cache_;
};

}  // namespace

Tokenizer::Tokenizer(Vocabulary vocabulary) : impl_(std::make_unique<Impl>(std::move(vocabulary))) {}
Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool parse_special) const {
  const TextSpan all = {0, text.size()};
  return encode(text, std::span(&all, parse_special ? 1 : 0));
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, std::span<const TextSpan> trusted) const {
  const Impl& impl = *impl_;
  Encoder encoder(impl.vocabulary, impl.index, impl.rules,
                  impl.pre_tokenizer ? &*impl.pre_tokenizer : nullptr, impl.cut_at_runs, text.size());
  const std::vector<TextSpan> spans = join(trusted, text.size());
  auto span = spans.begin();
  size_t begin = 0;  // of the plain text that is not encoded yet
  for (size_t at = 0; at < text.size();) {
    while (span != spans.end() && span->end <= at) ++span;
    const bool inside = span != spans.end() && span->begin <= at;
    if (!inside && !impl.specials.has_plain()) {
      if (span == spans.end()) break;
      at = span->begin;
      continue;
    }
    const int32_t special = impl.specials.longest_at(text, at, inside ? span->end : at);
    if (special < 0) {
      ++at;
      continue;
    }
    encoder.plain(text.substr(begin, at - begin), begin == 0);
    encoder.ids.push_back(special);
    at += impl.vocabulary.tokens[special].size();
    begin = at;
  }
  encoder.plain(text.substr(begin), begin == 0);
  return std::move(encoder.ids);
}

std::string_view Tokenizer::bytes(int32_t id) const {
  if (id < 0 || id >= size()) fail(ErrorKind::bad_input, "token {}, expected 0 to {}", id, size() - 1);
  return impl_->vocabulary.tokens[id];
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool with_special) const {
  const Vocabulary& vocabulary = impl_->vocabulary;
  bool strip = vocabulary.model == TokenizerModel::spm && vocabulary.space_prefix != SpacePrefix::none;
  std::string text;
  for (const int32_t id : ids) {
    std::string_view token = bytes(id);
    const TokenType type = vocabulary.types[id];
    if (!with_special && (type == TokenType::control || type == TokenType::unknown)) continue;
    if (strip && !is_added(type) && token.starts_with(' ')) token.remove_prefix(1);
    strip = false;
    text += token;
  }
  return text;
}

std::optional<int32_t> Tokenizer::special(std::string_view name) const {
  const int32_t id = impl_->index.added.find(name);
  if (id < 0 || !is_special(id)) return std::nullopt;
  return id;
}

bool Tokenizer::is_special(int32_t id) const {
  const std::string_view name = bytes(id);  // checks the range
  const TokenType type = impl_->vocabulary.types[id];
  return is_added(type) && !is_plain_added(type, name);
}

bool Tokenizer::is_end_of_generation(int32_t id) const {
  bytes(id);  // checks the range
  return impl_->ends[id];
}

const Vocabulary& Tokenizer::vocabulary() const {
  return impl_->vocabulary;
}

}  // namespace tern
