// A compiled search pattern: plain text, or a regular expression run by PCRE2.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sable::inference {

/// Bytes [begin, end) of a text.
struct TextRange {
  uint32_t begin = 0, end = 0;
  friend bool operator==(const TextRange&, const TextRange&) = default;
};

/// What one thread needs while it matches; reused from call to call.
class PatternScratch {
 public:
  PatternScratch();
  ~PatternScratch();
  PatternScratch(const PatternScratch&) = delete;
  PatternScratch& operator=(const PatternScratch&) = delete;

 private:
  friend class Pattern;
  struct State;
  std::unique_ptr<State> state_;
};

/// Immutable; matching from several threads is safe with a scratch for each.
class Pattern {
 public:
  /// Finds the text itself. `text` must not be empty.
  static Result<Pattern> literal(std::string_view text);

  /// A PCRE2 expression over UTF-8 with Unicode classes; `^` and `$` match at lines, `\C` is
  /// refused. Compiled to machine code where the machine allows that. Errors name the offset in the
  /// expression.
  static Result<Pattern> regex(std::string_view expression);

  /// Appends the matches in `text`, from left to right, none overlapping. `text` must be
  /// well-formed UTF-8 of less than 4 GiB. An empty match directly after a match is not one.
  ///
  /// Fails with `exhausted` when an expression backtracks beyond a bound that grows with the text,
  /// so that a bad expression costs an error and no hang.
  Result<void> find_all(std::string_view text, PatternScratch& scratch,
                        std::vector<TextRange>& matches) const;

 private:
  struct Code;
  Pattern() = default;
  std::string literal_;               // in use when code_ is empty
  std::shared_ptr<const Code> code_;  // shared by copies
};

}  // namespace sable::inference
