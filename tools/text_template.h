// Text with places for arguments: "--max={count}", "{path}", "{paths...}", "{filter:json}".
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace sable::tools {

/// One parsed text. Values are put in as they are: nothing is split, quoted or read again.
class TextTemplate {
 public:
  struct Place {
    std::string name;       ///< of an argument; "*": all of them
    bool as_json = false;   ///< "{name:json}"
    bool as_items = false;  ///< "{name...}": the items of a list, each an argument of its own
  };

  /// "{{" and "}}" stand for braces. Errors (invalid_input) name the column in the text.
  static Result<TextTemplate> parse(std::string_view text);

  const std::vector<Place>& places() const { return places_; }
  bool starts_with_place() const { return !places_.empty() && literals_[0].empty(); }
  /// What stands before the first place.
  const std::string& head() const { return literals_[0]; }
  /// The text itself when it has no places.
  std::optional<std::string> literal() const;

  /// With the values of `arguments` put in. Strings, numbers and booleans as argument_text()
  /// writes them. Errors (invalid_input) name the argument: absent, a list or object, with a NUL
  /// byte.
  Result<std::string> render(const Json& arguments) const;
  /// For one with a single place "{name...}": every item on its own.
  Result<std::vector<std::string>> render_items(const Json& arguments) const;

 private:
  std::vector<std::string> literals_;  ///< around the places: one more than these
  std::vector<Place> places_;
};

}  // namespace sable::tools
