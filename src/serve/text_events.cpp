#include "serve/text_events.h"

#include <fmt/format.h>

#include <iterator>

#include "text/utf8.h"

namespace tern {
namespace {

bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
}

void append_control(std::string& out, char c) {
  constexpr std::string_view kNamed = "\"\\\b\f\n\r\t", kNames = "\"\\bfnrt";
  const size_t named = kNamed.find(c);
  if (named == std::string_view::npos) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
  } else {
    out += '\\';
    out += kNames[named];
  }
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
  while (!text.empty()) {
    size_t plain = 0;
    while (plain < text.size() && is_plain(text[plain])) ++plain;
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) return;
    const Utf8Step step = utf8_step(text);
    if (step.kind != Utf8Kind::character) {
      out += "\xEF\xBF\xBD";
    } else if (step.bytes > 1) {
      out.append(text.substr(0, step.bytes));
    } else {
      append_control(out, text[0]);
    }
    text.remove_prefix(step.bytes);
  }
}

std::string tokenize_reply(const Tokenizer& tokenizer, std::span<const int32_t> tokens, bool strings,
                           int context) {
  std::string out =
      fmt::format("{{\"count\":{},\"max_model_len\":{},\"tokens\":[{}],\"token_strs\":", tokens.size(),
                  context, fmt::join(tokens, ","));
  if (!strings) return out + "null}";
  out += '[';
  for (size_t i = 0; i < tokens.size(); ++i) {
    out += i == 0 ? "\"" : ",\"";
    append_json_text(out, tokenizer.bytes(tokens[i]));
    out += '"';
  }
  return out + "]}";
}

TextEvents::TextEvents(const ReplyHead& head, int choice, const std::optional<ReplyJson>& usage) {
  // An event whose text is empty, cut between the text's quotes: no other string in it is empty.
  const auto cut = [&](bool thinking, std::string& before) {
    const std::string event = text_event(head, choice, "", thinking, nullptr, usage);
    const size_t quote = event.rfind("\"\"") + 1;
    before = event.substr(0, quote);
    after_ = event.substr(quote);
  };
  cut(true, before_thinking_);
  cut(false, before_answer_);
}

void TextEvents::append(std::string& out, std::string_view text, bool thinking) const {
  out += thinking ? before_thinking_ : before_answer_;
  append_json_text(out, text);
  out += after_;
}

}  // namespace tern
