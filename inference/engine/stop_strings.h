// Ends a stream of text at the first of several strings.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sable::inference {

/// Looks for stop strings in text that comes in parts. The string that is complete first ends the
/// text (of several that are complete at the same byte, the longest); it is not part of the text.
/// Where the parts were cut makes no difference. Text that may be the start of a stop string is
/// held back.
class StopStrings {
 public:
  /// At most 64 strings of 1 to 1024 bytes each; none at all is fine.
  static Result<StopStrings> create(std::vector<std::string> strings);

  struct Step {
    std::string text;      ///< what can be shown now
    bool stopped = false;  ///< a stop string was found; nothing follows
  };

  /// After a stop the result is empty and stopped. Linear in the text for each string.
  Step push(std::string_view text);

  /// The end of the stream: what was held back.
  std::string finish();

  /// Which string stopped the text, or npos.
  size_t found() const { return found_; }
  static constexpr size_t npos = static_cast<size_t>(-1);

 private:
  struct Matcher {
    std::string string;
    std::vector<size_t> fallback;  // [i]: longest proper prefix of string[0, i] that is its suffix
    size_t matched = 0;            // bytes of the string that the text ends with
    void advance(char byte);
  };

  StopStrings() = default;
  std::vector<Matcher> matchers_;
  std::string held_;
  size_t found_ = npos;
};

}  // namespace sable::inference
