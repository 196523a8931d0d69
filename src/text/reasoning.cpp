#include "text/reasoning.h"

#include <algorithm>
#include <utility>

namespace tern {
namespace {

using Piece = ReasoningSplit::Piece;

/// Pairs that models are known to write: DeepSeek, Qwen, GLM and Kimi-K2; Kimi-VL; Magistral.
constexpr std::pair<const char*, const char*> kTags[] = {
    {"<think>", "</think>"}, {"◁think▷", "◁/think▷"}, {"[THINK]", "[/THINK]"}};

constexpr size_t kLongestHeader = 256;  // bytes before <|message|>; beyond them it is no header
constexpr size_t kLookedBack = 64;      // tokens of a prompt in which text is looked for

ReasoningMarker marker_of(const Tokenizer& tokenizer, const char* text) {
  return {text, tokenizer.special(text)};
}

std::vector<int32_t> encoded(const Tokenizer& tokenizer, const std::string& text) {
  const TextSpan all{0, text.size()};
  return tokenizer.encode(text, std::span(&all, 1));
}

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

/// The longest end of `text` that begins `marker` without being it.
size_t begun(std::string_view text, std::string_view marker) {
  for (size_t n = std::min(text.size(), marker.size() - 1); n > 0; --n) {
    if (marker.starts_with(text.substr(text.size() - n))) return n;
  }
  return 0;
}

}  // namespace

std::vector<const ReasoningMarker*> ReasoningFormat::markers() const {
  switch (scheme) {
    case ReasoningScheme::none:
      return {};
    case ReasoningScheme::think_tags:
      return {&open, &close};
    case ReasoningScheme::channels:
      return {&start, &channel, &message, &end};
  }
  return {};
}

bool ReasoningFormat::is_marker(int32_t id) const {
  const auto all = markers();
  return std::any_of(all.begin(), all.end(), [&](const ReasoningMarker* marker) { return marker->id == id; });
}

ReasoningFormat reasoning_format(const Tokenizer& tokenizer) {
  const std::string& chat_template = tokenizer.vocabulary().chat_template;
  ReasoningFormat format;
  if (chat_template.find("<|channel|>") != std::string::npos) {
    format.scheme = ReasoningScheme::channels;
    format.start = marker_of(tokenizer, "<|start|>");
    format.channel = marker_of(tokenizer, "<|channel|>");
    format.message = marker_of(tokenizer, "<|message|>");
    format.end = marker_of(tokenizer, "<|end|>");
    format.closing = encoded(tokenizer, "<|end|><|start|>assistant<|channel|>final<|message|>");
    return format;
  }
  for (const auto& [open, close] : kTags) {
    const bool written = chat_template.find(close) != std::string::npos;
    if (!written && !(tokenizer.special(open) && tokenizer.special(close))) continue;
    format.scheme = ReasoningScheme::think_tags;
    format.open = marker_of(tokenizer, open);
    format.close = marker_of(tokenizer, close);
    format.closing = encoded(tokenizer, close);
    return format;
  }
  return format;
}

namespace {

/// Whether the last tag of a prompt opens a thought.
bool last_tag_opens(const ReasoningFormat& format, const Tokenizer& tokenizer,
                    std::span<const int32_t> prompt) {
  for (auto id = prompt.rbegin(); id != prompt.rend(); ++id) {
    if (format.close.id && *id == *format.close.id) return false;
    if (format.open.id && *id == *format.open.id) return true;
  }
  if (format.open.id) return false;
  // As text only at the very end: before it, it may be anybody's.
  const std::string tail = tokenizer.decode(prompt.last(std::min(prompt.size(), kLookedBack)), true);
  const size_t open = tail.rfind(format.open.text);
  return open != std::string::npos && is_blank(std::string_view(tail).substr(open + format.open.text.size()));
}

/// Whether a prompt ends in the body of an analysis.
bool in_analysis(const ReasoningFormat& format, const Tokenizer& tokenizer, std::span<const int32_t> prompt) {
  size_t from = prompt.size();
  while (from > 0 && (!format.start.id || prompt[from - 1] != *format.start.id)) --from;
  if (from == 0) return false;
  ReasoningSplit split(format, ReasoningSplit::Side::unsaid);
  std::vector<Piece> ignored;
  for (const int32_t id : prompt.subspan(from)) split.push(id, tokenizer.bytes(id), ignored);
  return split.thinking();
}

}  // namespace

bool opens_thinking(const ReasoningFormat& format, const Tokenizer& tokenizer,
                    std::span<const int32_t> prompt) {
  switch (format.scheme) {
    case ReasoningScheme::none:
      return false;
    case ReasoningScheme::think_tags:
      return last_tag_opens(format, tokenizer, prompt);
    case ReasoningScheme::channels:
      return in_analysis(format, tokenizer, prompt);
  }
  return false;
}

ReasoningSplit::ReasoningSplit(const ReasoningFormat& format, Side start) : format_(format), side_(start) {
  if (format.scheme == ReasoningScheme::none) side_ = Side::answer;
  in_header_ = format.scheme == ReasoningScheme::channels && start == Side::unsaid;
}

void ReasoningSplit::push(int32_t id, std::string_view bytes, std::vector<Piece>& out) {
  const auto all = format_.markers();
  const auto known = std::find_if(all.begin(), all.end(), [&](const auto* one) { return one->id == id; });
  if (known != all.end()) {
    // White space before the opening marker is nobody's.
    if (side_ == Side::unsaid && format_.scheme == ReasoningScheme::think_tags && is_blank(held_))
      held_.clear();
    text(std::exchange(held_, {}), out);
    held_tokens_ = 0;
    return marker(**known, out);
  }
  const int before = thought_;
  if (thinking()) ++thought_;
  held_ += bytes;
  scan(out);
  if (held_.empty()) {
    held_tokens_ = 0;
  } else {
    held_tokens_ += thought_ - before;
  }
}

/// Text markers that count where the reply is now.
std::vector<const ReasoningMarker*> ReasoningSplit::awaited() const {
  std::vector<const ReasoningMarker*> list;
  if (format_.scheme == ReasoningScheme::channels) {
    list = format_.markers();
  } else if (side_ == Side::unsaid) {
    list = {&format_.open};
  } else if (side_ == Side::thinking) {
    list = {&format_.close};
  }
  std::erase_if(list, [](const ReasoningMarker* marker) { return marker->id.has_value(); });
  return list;
}

/// Gives out held_ up to what may still become a marker.
void ReasoningSplit::scan(std::vector<Piece>& out) {
  for (;;) {
    size_t at = std::string::npos, hold = 0;
    const ReasoningMarker* found = nullptr;
    for (const ReasoningMarker* one : awaited()) {
      const size_t here = held_.find(one->text);
      if (here < at) {
        at = here;
        found = one;
      }
      hold = std::max(hold, begun(held_, one->text));
    }
    if (found) {
      const std::string before = held_.substr(0, at);
      held_.erase(0, at + found->text.size());
      // A tag opens a thought only as the reply's first word.
      if (side_ == Side::unsaid && format_.scheme == ReasoningScheme::think_tags && !is_blank(before)) {
        turn(Side::answer, out);
        text(before + found->text, out);
        continue;
      }
      if (side_ != Side::unsaid || !is_blank(before)) text(before, out);
      if (thinking()) thought_ -= std::min(thought_, held_tokens_ + 1);
      held_tokens_ = 0;
      marker(*found, out);
      continue;
    }
    std::string safe = held_.substr(0, held_.size() - hold);
    if (side_ == Side::unsaid && format_.scheme == ReasoningScheme::think_tags && is_blank(safe)) return;
    held_.erase(0, safe.size());
    return text(safe, out);
  }
}

/// Text of the side the reply is on; the first of an unsaid one makes it the answer.
void ReasoningSplit::text(std::string_view bytes, std::vector<Piece>& out) {
  if (bytes.empty()) return;
  if (in_header_) {
    header_ += bytes;
    if (header_.size() <= kLongestHeader) return;
    in_header_ = false;
    const std::string body = std::exchange(header_, {});
    turn(Side::answer, out);
    return text(body, out);
  }
  if (side_ == Side::unsaid) turn(Side::answer, out);
  std::string whole = characters_.push(bytes);
  if (whole.empty()) return;
  const Piece::Kind kind = thinking() ? Piece::Kind::thinking : Piece::Kind::answer;
  if (!out.empty() && out.back().kind == kind) {
    out.back().text += whole;
  } else {
    out.push_back({kind, std::move(whole)});
  }
}

/// To the other side; a character that is cut off there still belongs to this one.
void ReasoningSplit::turn(Side side, std::vector<Piece>& out) {
  std::string rest = characters_.finish();
  if (!rest.empty())
    out.push_back({thinking() ? Piece::Kind::thinking : Piece::Kind::answer, std::move(rest)});
  side_ = side;
}

void ReasoningSplit::marker(const ReasoningMarker& marker, std::vector<Piece>& out) {
  if (format_.scheme == ReasoningScheme::channels) {
    const std::string header = &marker == &format_.message ? header_ : std::string();
    turn(Side::answer, out);
    channel_marker(marker);
    out.push_back({Piece::Kind::marker, header + marker.text});
    return;
  }
  if (&marker == &format_.open && side_ == Side::unsaid) {
    turn(Side::thinking, out);
  } else if (&marker == &format_.close && side_ != Side::answer) {
    turn(Side::answer, out);
  }
  out.push_back({Piece::Kind::marker, marker.text});
}

void ReasoningSplit::channel_marker(const ReasoningMarker& marker) {
  if (&marker == &format_.message) {
    const std::string name = header_.substr(0, header_.find_first_of(" \n"));
    in_header_ = false;
    side_ = name == "analysis" ? Side::thinking : Side::answer;
    final_ = name == "final";
  } else if (&marker == &format_.end) {
    ended_ = ended_ || final_;
    final_ = false;
  } else {
    in_header_ = true;
  }
  header_.clear();
}

void ReasoningSplit::finish(std::vector<Piece>& out) {
  in_header_ = false;  // a header that was never finished is no text
  header_.clear();
  text(std::exchange(held_, {}), out);
  turn(side_, out);
}

}  // namespace tern
