// Which item of a command line a shell or an interpreter would read as a program.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sable::tools {

/// An item of a command line, as far as it is known before a call gives the arguments.
struct CommandWord {
  std::string head;                  ///< its text before the first place; all of it without one
  std::string place;                 ///< the first place as written, "{name}"; empty: none
  bool is_list = false;              ///< becomes any number of items
  bool may_begin_with_dash = false;  ///< nothing keeps a value from being read as an option
};

/// Items that stand together, or are left out together.
struct CommandWords {
  std::vector<CommandWord> words;
  bool may_be_absent = false;
};

/// A place whose value would be read as a program.
struct ProgramTextFault {
  bool in_stdin = false;
  size_t part = 0, word = 0;  ///< where it stands, when not in standard input
  std::string why;            ///< and how to write it instead
};

/// The first place of a command line whose value could become a program: the name of a program that
/// another one starts, a script's text or file, an option of an interpreter. `stdin_place` is a
/// place in standard input, or empty. Knows shells, interpreters and programs that start others by
/// name; follows every way in which groups can be left out, and doubtful options both ways.
std::optional<ProgramTextFault> find_program_text(const std::vector<CommandWords>& parts,
                                                  std::string_view stdin_place);

/// Whether a variable names code that programs load or run when they start: LD_PRELOAD, BASH_ENV,
/// PYTHONSTARTUP, PATH, ...
bool is_start_up_variable(std::string_view name);

}  // namespace sable::tools
