// Thinking and answer of a reply told apart while it is written, by the markers that models write themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/stream.h"
#include "text/tokenizer.h"

namespace tern {

/// How a model marks its thinking.
enum class ReasoningScheme {
  none,
  think_tags,  ///< <think>thinking</think>answer (DeepSeek, Qwen 3, GLM); some prompts open it themselves
  channels     ///< gpt-oss:
               ///< <|channel|>analysis<|message|>...<|end|><|start|>assistant<|channel|>final<|message|>...
};

/// A marker: a special token where the vocabulary has one of this name, else plain text.
struct ReasoningMarker {
  std::string text;
  std::optional<int32_t> id;
};

/// The scheme of one model.
struct ReasoningFormat {
  ReasoningScheme scheme = ReasoningScheme::none;
  ReasoningMarker open, close;                   ///< of think_tags
  ReasoningMarker start, channel, message, end;  ///< of channels
  /// The tokens that end the thinking where they are forced. Empty where there is none.
  std::vector<int32_t> closing;

  /// Every marker of the scheme.
  std::vector<const ReasoningMarker*> markers() const;
  bool is_marker(int32_t id) const;
};

/// What a vocabulary and its chat template say: channels where the template writes <|channel|>; tags where
/// the template writes one of the known pairs or the vocabulary has both as special tokens.
ReasoningFormat reasoning_format(const Tokenizer& tokenizer);

/// Whether a prompt, of a chat or raw, ends inside a thought: the reply then begins there.
bool opens_thinking(const ReasoningFormat& format, const Tokenizer& tokenizer,
                    std::span<const int32_t> prompt);

/// Follows a reply token by token and gives out its text, in whole characters and without the markers, each
/// part with its side. Text that could still become a marker is held back, so no part of one is ever shown.
class ReasoningSplit {
 public:
  enum class Side { unsaid, thinking, answer };
  struct Piece {
    enum class Kind { thinking, answer, marker };
    Kind kind;
    std::string text;
  };

  /// start: thinking where the prompt opened it, answer where it closed it; else unsaid: the reply's first
  /// characters that are not white space decide.
  ReasoningSplit(const ReasoningFormat& format, Side start);

  /// The next token; `bytes` is its text, empty for one that is never shown. Appends to `out` what is
  /// complete now, in order.
  void push(int32_t id, std::string_view bytes, std::vector<Piece>& out);
  /// What was held back, at the reply's end.
  void finish(std::vector<Piece>& out);

  Side side() const { return side_; }
  bool thinking() const { return side_ == Side::thinking; }
  /// Tokens thought so far, those of markers not counted.
  int thought() const { return thought_; }
  /// A channel's last message was ended by the token that otherwise only ends a thought: the reply is over.
  bool ended() const { return ended_; }

 private:
  void marker(const ReasoningMarker& marker, std::vector<Piece>& out);
  void channel_marker(const ReasoningMarker& marker);
  void scan(std::vector<Piece>& out);
  void text(std::string_view bytes, std::vector<Piece>& out);
  void turn(Side side, std::vector<Piece>& out);
  std::vector<const ReasoningMarker*> awaited() const;

  const ReasoningFormat& format_;
  Side side_;
  bool in_header_ = false;  ///< channels: before <|message|>
  std::string header_;      ///< of it, what follows <|channel|>
  bool final_ = false;      ///< channels: in the last message
  bool ended_ = false;
  std::string held_;     ///< bytes that may become a marker, or that wait for the side to be known
  int held_tokens_ = 0;  ///< tokens counted as thought that lie in held_
  int thought_ = 0;
  Utf8Stream characters_;
};

}  // namespace tern
