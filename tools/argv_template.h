// The command line of a tool described in YAML: items with places for arguments, never a shell's
// text.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tools/program_text.h"
#include "tools/text_template.h"

namespace sable::tools {

/// What the arguments of a tool can be, as far as its command line depends on it.
struct ArgumentNames {
  std::vector<std::string> all;
  std::set<std::string> always;  ///< required, or with a default
};

/// Items and groups. A group stands only in the calls that have all arguments it names, or in which
/// `condition` is given and not false.
class ArgvTemplate {
 public:
  struct Item {
    TextTemplate text;
    bool behind_options = false;  ///< a literal "--" stands before it
  };
  struct Part {
    std::vector<Item> items;
    bool optional = false;
    std::string condition;
  };

  /// Adds a part; parts are kept in order.
  void add(Part part);
  /// A value may begin with "-" although it stands where options do.
  void allow_dash(std::string name) { dash_allowed_.insert(std::move(name)); }

  /// Whether every place names an argument that is there when it is needed, and the program is
  /// fixed.
  Result<void> check(const ArgumentNames& names) const;
  /// Where a shell or an interpreter would read a value as a program, in the order in which parts
  /// and their items were added. `stdin_text` (may be null) is what the program gets as its input.
  std::optional<ProgramTextFault> program_text_fault(const TextTemplate* stdin_text) const;

  /// The command line for arguments that fit the schema. Errors (invalid_input) are for the model:
  /// a value that begins with "-" where it would be read as an option.
  Result<std::vector<std::string>> render(const Json& arguments) const;

 private:
  Result<void> render_item(const Item& item, const Json& arguments,
                           std::vector<std::string>& argv) const;

  std::vector<Part> parts_;
  std::set<std::string> dash_allowed_;
  bool seen_end_of_options_ = false;
};

/// Whether a place's argument is known and, where needed, always there.
Result<void> check_place(const TextTemplate::Place& place, const ArgumentNames& names,
                         bool optional);

}  // namespace sable::tools
