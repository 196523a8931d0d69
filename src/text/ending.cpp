#include "text/ending.h"

#include <algorithm>
#include <cctype>

namespace tern {
namespace {

constexpr size_t kTail = 8;  // bytes: two characters at least
constexpr std::string_view kStops[] = {".", "!", "?", "…", "。", "！", "？", "।", "؟"};
constexpr std::string_view kClosers[] = {"\"", "'", ")", "]", "*", "_", "`", "”", "’", "»", "」", "』", "）"};

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/// Takes white space and what closes behind a sentence off the end. Whether a line break was among it.
bool strip_closers(std::string_view& text) {
  bool line_ended = false;
  for (;;) {
    if (!text.empty() && is_space(text.back())) {
      line_ended |= text.back() == '\n';
      text.remove_suffix(1);
      continue;
    }
    const auto* closer = std::find_if(std::begin(kClosers), std::end(kClosers),
                                      [&](std::string_view one) { return text.ends_with(one); });
    if (closer == std::end(kClosers)) return line_ended;
    text.remove_suffix(closer->size());
  }
}

}  // namespace

void EndingWatch::push(std::string_view text) {
  for (const char c : text) {
    if (kind_ == Kind::unsaid && !is_space(c)) kind_ = c == '{' || c == '[' ? Kind::json : Kind::prose;
    if (kind_ == Kind::json) push_json(c);
    if (kind_ == Kind::prose) push_prose(c);
  }
}

void EndingWatch::push_json(char c) {
  if (in_string_) {
    if (escaped_) {
      escaped_ = false;
    } else {
      escaped_ = c == '\\';
      in_string_ = c != '"';
    }
    return;
  }
  if (begun_ && depth_ == 0 && !is_space(c)) {  // it goes on behind the value: as prose
    kind_ = Kind::prose;
    return;
  }
  in_string_ = c == '"';
  if (c == '{' || c == '[') ++depth_;
  if (c == '}' || c == ']') --depth_;
  begun_ = true;
}

void EndingWatch::push_prose(char c) {
  backticks_ = c == '`' ? backticks_ + 1 : 0;
  if (backticks_ == 3) fenced_ = !fenced_;
  tail_ += c;
  // Long runs of white space and quotes keep what stands before them.
  if (tail_.size() <= 4 * kTail) return;
  std::string_view text = tail_;
  const bool line_ended = strip_closers(text);
  tail_ = std::string(text.substr(text.size() - std::min(text.size(), kTail))) + (line_ended ? "\n" : " ");
}

bool EndingWatch::behind_sentence() const {
  if (kind_ != Kind::prose || fenced_) return false;
  std::string_view text = tail_;
  if (strip_closers(text)) return true;
  const auto stops = [&](std::string_view stop) { return text.ends_with(stop); };
  if (!std::any_of(std::begin(kStops), std::end(kStops), stops)) return false;
  const bool number = text.size() > 1 && text.back() == '.' &&
                      std::isdigit(static_cast<unsigned char>(text[text.size() - 2]));
  return !number;
}

}  // namespace tern
