#include "text/stream.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "text/utf8.h"

namespace tern {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace

std::string Utf8Stream::push(std::string_view bytes) {
  held_ += bytes;
  std::string text;
  std::string_view rest = held_;
  while (!rest.empty()) {
    const size_t valid = utf8_valid_prefix(rest);
    text += rest.substr(0, valid);
    rest.remove_prefix(valid);
    if (rest.empty()) break;
    const Utf8Step step = utf8_step(rest);
    if (step.kind == Utf8Kind::partial) break;
    text += kReplacement;
    rest.remove_prefix(step.bytes);
  }
  held_ = std::string(rest);
  return text;
}

std::string Utf8Stream::finish() {
  const bool unfinished = !held_.empty();
  held_.clear();
  return unfinished ? std::string(kReplacement) : std::string();
}

StopStream::StopStream(std::vector<std::string> stops) {
  for (std::string& stop : stops) {
    if (stop.empty()) fail(ErrorKind::bad_input, "a stop string is empty");
    Watched watched{std::move(stop), {}, 0};
    watched.borders.assign(watched.text.size(), 0);
    for (size_t i = 1, border = 0; i < watched.text.size(); ++i) {
      while (border > 0 && watched.text[i] != watched.text[border]) border = watched.borders[border - 1];
      if (watched.text[i] == watched.text[border]) ++border;
      watched.borders[i] = border;
    }
    stops_.push_back(std::move(watched));
  }
}

std::string StopStream::push(std::string_view text) {
  if (stopped_) return {};
  for (size_t i = 0; i < text.size(); ++i) {
    // Of the stops that end here the longest one starts first.
    size_t found = 0;
    for (Watched& stop : stops_) {
      if (advance(stop, text[i])) found = std::max(found, stop.text.size());
    }
    if (found == 0) continue;
    stopped_ = true;
    held_ += text.substr(0, i + 1);
    held_.resize(held_.size() - found);
    return std::exchange(held_, {});
  }
  held_ += text;
  size_t begun = 0;
  for (const Watched& stop : stops_) begun = std::max(begun, stop.matched);
  std::string safe = held_.substr(0, held_.size() - begun);
  held_.erase(0, safe.size());
  return safe;
}

std::string StopStream::finish() {
  for (Watched& stop : stops_) stop.matched = 0;
  return std::exchange(held_, {});
}

// One step of Knuth, Morris and Pratt's search; true where the stop ends with this byte.
bool StopStream::advance(Watched& stop, char c) {
  while (stop.matched > 0 && stop.text[stop.matched] != c) stop.matched = stop.borders[stop.matched - 1];
  if (stop.text[stop.matched] == c) ++stop.matched;
  return stop.matched == stop.text.size();
}

}  // namespace tern
