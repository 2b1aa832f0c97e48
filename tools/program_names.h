// The programs that run a text they are given, and those that start another program.
#pragma once

#include <string_view>

namespace sable::tools {

/// How one reads its command line. Letters are those of short options.
struct Interpreter {
  enum class Form {
    shell,    ///< -c is a mark: the first operand is the text, and what follows is data
    ends,     ///< the text's option ends the options: what follows is data
    goes_on,  ///< options may follow the text: data only where no option can stand
    operand,  ///< an option's text comes on top of a script, which the first operand names
  };
  std::string_view name;
  Form form = Form::goes_on;
  std::string_view texts;       ///< options with a program's text
  std::string_view files;       ///< options with a program's file or module
  std::string_view values;      ///< other options with a value
  std::string_view attached;    ///< options whose value, if any, is the rest of the item
  std::string_view from_input;  ///< options with which standard input is read as a program
  std::string_view flags;       ///< long options without a value, "--one --two"
  bool permutes = false;        ///< options are also read behind operands
};

/// A program that starts the one that its operands name.
struct Starter {
  std::string_view name;
  int n_operands = 0;         ///< of its own, before the program
  std::string_view values;    ///< options with a value
  std::string_view attached;  ///< options whose value, if any, is the rest of the item
  std::string_view texts;     ///< options that hand text to a shell or split it
  std::string_view flags;     ///< long options without a value
};

/// Null for other programs. `program` is an item of a command line: its folder and a version at its
/// end do not matter.
const Interpreter* find_interpreter(std::string_view program);
const Starter* find_starter(std::string_view program);
/// Hands its arguments or its input to a shell, or has commands that run programs, in too many ways
/// to tell one place from another: ssh, watch, gdb, ...
bool reads_commands_everywhere(std::string_view program);
/// find and the like, which start programs named behind -exec.
bool is_find(std::string_view program);

}  // namespace sable::tools
