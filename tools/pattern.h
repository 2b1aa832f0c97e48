// Regular expressions of JSON Schema (ECMA-262's), matched with bounded effort by PCRE2.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sable::tools {

/// Immutable, shared between copies; may be used by several threads.
class Pattern {
 public:
  /// Errors: invalid_input with the place and the cause.
  static Result<Pattern> compile(std::string_view source);

  /// Whether the pattern is found anywhere in `text` (UTF-8); nullopt when that costs too much to
  /// tell.
  std::optional<bool> found_in(std::string_view text) const;

  const std::string& source() const { return source_; }

 private:
  struct Code;
  std::shared_ptr<const Code> code_;
  std::string source_;
};

}  // namespace sable::tools
