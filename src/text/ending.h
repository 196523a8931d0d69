// Where a text may end without being cut: behind a sentence, or behind a whole JSON value.
#pragma once

#include <string>
#include <string_view>

namespace tern {

/// Follows an answer as it grows, in time linear in it and memory that doesn't grow. Pieces are whole UTF-8
/// characters.
class EndingWatch {
 public:
  void push(std::string_view text);

  /// The text is one whole JSON object or array, white space around it aside.
  bool whole_json() const { return kind_ == Kind::json && depth_ == 0 && begun_; }
  /// The text ends behind a sentence or a line of prose, outside of code fences. Of "3." nobody knows.
  bool behind_sentence() const;

 private:
  enum class Kind { unsaid, json, prose };
  void push_json(char c);
  void push_prose(char c);

  Kind kind_ = Kind::unsaid;
  // of JSON
  int depth_ = 0;
  bool begun_ = false, in_string_ = false, escaped_ = false;
  // of prose
  std::string tail_;   ///< its last bytes, quotes and brackets that close aside
  int backticks_ = 0;  ///< in a row at the end
  bool fenced_ = false;
};

}  // namespace tern
