// Server-sent events out of a body, in pieces as they come.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace tern::load {

/// The data of each event (WHATWG HTML, 9.2): lines end with LF, CR LF or CR, a blank line ends the event,
/// several data lines are joined by LF, other fields and comments are passed over. Keeps at most one line
/// and one event: 1 MiB each.
class SseReader {
 public:
  using Event = std::function<void(std::string_view data)>;

  /// Throws Error{limit} for a longer line or event, and what `event` throws.
  void feed(std::string_view bytes, const Event& event);

 private:
  void line(std::string_view line, const Event& event);

  std::string partial_;  ///< the line under way
  std::string data_;     ///< of the event under way
  bool has_data_ = false;
  bool after_cr_ = false;  ///< an LF that follows belongs to the line's end
};

}  // namespace tern::load
