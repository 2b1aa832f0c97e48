// How the indentation of one text differs from that of another that has the same words.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace sable::tools {

/// One rule that turns the indentation of every line of `from` into that of `to`.
class IndentationRule {
 public:
  /// nullopt when no single rule explains all lines. Blank lines say nothing.
  static std::optional<IndentationRule> between(std::span<const std::string_view> from,
                                                std::span<const std::string_view> to);

  /// The same change made to every line of `text`; nullopt when a line cannot follow it.
  std::optional<std::string> apply(std::string_view text) const;

 private:
  enum class Kind { add, remove, spaces_to_tabs, tabs_to_spaces };

  bool explains(std::string_view from, std::string_view to) const;
  std::optional<std::string> indentation_for(std::string_view from) const;

  Kind kind_ = Kind::add;
  std::string prefix_;  ///< added or removed
  size_t width_ = 0;    ///< spaces a tab
};

}  // namespace sable::tools
