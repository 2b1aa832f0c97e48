#include "tools/program_text.h"

#include <algorithm>

#include <fmt/format.h>

#include "tools/program_names.h"

namespace sable::tools {

namespace {

/// What reads the next item.
enum class Reader { nothing_yet, interpreter, starter, find, everywhere, plain };

/// How far one way through the command line has come. Views are into the items.
struct State {
  Reader reader = Reader::nothing_yet;
  std::string_view program;  ///< that reads, as written
  const Interpreter* interpreter = nullptr;
  const Starter* starter = nullptr;
  int n_operands = 0;           ///< of the starter, still to come
  int n_values = 0;             ///< of options before this item, still to come
  bool text_next = false;       ///< the next item is a program's text
  bool file_next = false;       ///< the next item is a program's file
  bool text_operand = false;    ///< a shell's -c: the first operand is a text
  bool has_script = false;      ///< fixed, so that what follows is data
  bool reads_input = false;     ///< standard input is read as a program
  bool options_open = true;     ///< an item with "-" would be an option
  bool opens_operands = false;  ///< perl -n: operands are opened so that "id|" runs a program
  bool in_find = false;         ///< behind find's -exec
  bool in_xargs = false;        ///< standard input becomes further items
  bool replaces = false;        ///< xargs -I: and is put into the others

  bool operator==(const State&) const = default;
};

/// A command line with more ways to read it than this was not written to be understood.
constexpr size_t kStatesMax = 256;

using States = std::vector<State>;
using Why = std::optional<std::string>;

void keep(States& states, const State& state) {
  if (std::find(states.begin(), states.end(), state) == states.end()) states.push_back(state);
}

bool holds(std::string_view letters, char letter) {
  return letters.find(letter) != std::string_view::npos;
}

bool is_flag(std::string_view flags, std::string_view option) {
  while (!flags.empty()) {
    const size_t end = flags.find(' ');
    if (flags.substr(0, end) == option) return true;
    if (end == std::string_view::npos) break;
    flags.remove_prefix(end + 1);
  }
  return false;
}

bool is_standard_input(std::string_view file) {
  return file == "-" || file == "/dev/stdin" || file == "/dev/fd/0" || file == "/proc/self/fd/0";
}

/// Modules of Python that run what they are given.
bool runs_its_arguments(std::string_view module) {
  constexpr std::string_view kModules[] = {"timeit", "pdb",   "code",    "profile", "cProfile",
                                           "trace",  "runpy", "idlelib", "IPython", "coverage"};
  return std::find(std::begin(kModules), std::end(kModules), module) != std::end(kModules);
}

State with_reader(State state, Reader reader) {
  state.reader = reader;
  return state;
}

/// `state` at the name of a program.
State enter(const State& before, std::string_view program) {
  State state;
  state.program = program;
  state.in_find = before.in_find;
  state.replaces = before.replaces;
  state.interpreter = find_interpreter(program);
  state.starter = find_starter(program);
  if (state.starter != nullptr) state.n_operands = state.starter->n_operands;
  state.in_xargs = before.in_xargs || (state.starter != nullptr && state.starter->name == "xargs");
  state.reader = state.interpreter != nullptr         ? Reader::interpreter
                 : state.starter != nullptr           ? Reader::starter
                 : is_find(program)                   ? Reader::find
                 : reads_commands_everywhere(program) ? Reader::everywhere
                                                      : Reader::plain;
  if (state.reader == Reader::plain) state.program = {};
  return state;
}

/// A script has been named, by an operand or an option.
void take_file(State& state, std::string_view file) {
  state.has_script = true;
  state.reads_input = state.reads_input || is_standard_input(file);
}

void take_option_of_interpreter(const State& before, std::string_view item, States& after) {
  const Interpreter& known = *before.interpreter;
  State state = before;
  if (item.starts_with("--")) {
    const size_t equals = item.find('=');
    const std::string_view name = item.substr(0, equals);
    const bool text = name == "--eval" || name == "--print" || name == "--command" ||
                      name == "--expression" || name == "--source" || name == "--run";
    const bool file = name == "--file" || name == "--exec";
    if (equals != std::string_view::npos) {
      if ((text || file) && known.form != Interpreter::Form::operand) state.has_script = true;
      if (file) take_file(state, item.substr(equals + 1));
      return keep(after, state);
    }
    if (name == "--interactive") state.reads_input = true;
    // Where it is not known whether the option takes the next item, both are followed.
    if (!text && !file) keep(after, state);
    if (is_flag(known.flags, name)) return;
    state.text_next = text;
    state.file_next = file;
    if (!text && !file) state.n_values = 1;
    return keep(after, state);
  }
  if (known.form == Interpreter::Form::operand && known.texts.empty()) {
    keep(after, state);  // an option is a whole word there, and may take the next item
    state.n_values = 1;
    return keep(after, state);
  }
  for (size_t i = 1; i < item.size(); ++i) {
    const char letter = item[i];
    const bool last = i + 1 == item.size();
    if (holds(known.from_input, letter)) state.reads_input = true;
    if (known.name == "perl" && (letter == 'n' || letter == 'p')) state.opens_operands = true;
    if (known.form == Interpreter::Form::shell) {
      state.text_operand = state.text_operand || holds(known.texts, letter);
      if (holds(known.values, letter)) ++state.n_values;
      continue;
    }
    if (holds(known.attached, letter)) break;
    const bool text = holds(known.texts, letter), file = holds(known.files, letter);
    if (!text && !file && !holds(known.values, letter)) continue;
    // node -pe takes the text from the next item, others take the rest of this one.
    const bool only_texts =
        text && item.find_first_not_of(known.texts, i) == std::string_view::npos;
    if (only_texts && !last) {
      State next = state;
      next.text_next = true;
      keep(after, next);
    }
    if (last) {
      state.text_next = text;
      state.file_next = file;
      if (!text && !file) state.n_values = 1;
      break;
    }
    if (text && known.form != Interpreter::Form::operand) state.has_script = true;
    if (file) take_file(state, item.substr(i + 1));
    if (known.form == Interpreter::Form::ends && (text || file)) state.options_open = false;
    if (known.name.starts_with("py") && file && runs_its_arguments(item.substr(i + 1))) {
      state.reader = Reader::everywhere;
    }
    break;
  }
  keep(after, state);
}

void take_by_interpreter(const State& before, std::string_view item, States& after) {
  const Interpreter& known = *before.interpreter;
  State state = before;
  if (before.text_next || before.file_next) {
    state.text_next = state.file_next = false;
    if (before.file_next) {
      take_file(state, item);
      if (known.name.starts_with("py") && runs_its_arguments(item)) {
        state.reader = Reader::everywhere;
      }
    } else {
      state.has_script = known.form != Interpreter::Form::operand;
    }
    if (known.form == Interpreter::Form::ends) state.options_open = false;
    return keep(after, state);
  }
  if (before.n_values > 0) {
    --state.n_values;
    return keep(after, state);
  }
  const bool is_shell = known.form == Interpreter::Form::shell;
  if (state.options_open && item.size() > 1 && (item[0] == '-' || (is_shell && item[0] == '+')) &&
      item != "--") {
    return take_option_of_interpreter(before, item, after);
  }
  if (state.options_open && (item == "--" || (is_shell && item == "-"))) {
    state.options_open = false;
    return keep(after, state);
  }
  if (!state.has_script) take_file(state, state.text_operand ? std::string_view() : item);
  if (!known.permutes) state.options_open = false;
  keep(after, state);
}

void take_by_starter(const State& before, std::string_view item, States& after) {
  const Starter& known = *before.starter;
  State state = before;
  if (before.text_next) return keep(after, with_reader(state, Reader::plain));
  if (before.n_values > 0) {
    --state.n_values;
    return keep(after, state);
  }
  if (state.options_open && item == "--") {
    state.options_open = false;
    return keep(after, state);
  }
  // flock's -c stands behind its operand.
  const bool is_option = item.size() > 1 && item[0] == '-';
  if (is_option && (state.options_open || known.name == "flock")) {
    const bool is_xargs = known.name == "xargs";
    if (item.starts_with("--")) {
      if (is_xargs && item.starts_with("--replace")) state.replaces = true;
      if (item.starts_with("--split-string") || item == "--login" || item == "--shell" ||
          item.starts_with("--command")) {
        return keep(after, with_reader(state, Reader::everywhere));
      }
      keep(after, state);
      if (item.find('=') != std::string_view::npos || is_flag(known.flags, item)) return;
      state.n_values = 1;
      return keep(after, state);
    }
    for (size_t i = 1; i < item.size(); ++i) {
      if (is_xargs && holds("IiJ", item[i])) state.replaces = true;
      if (holds(known.texts, item[i])) {
        if (known.name != "flock") return keep(after, with_reader(state, Reader::everywhere));
        state.text_next = true;
        break;
      }
      if (holds(known.attached, item[i])) break;
      if (!holds(known.values, item[i])) continue;
      if (i + 1 == item.size()) state.n_values = 1;
      break;
    }
    return keep(after, state);
  }
  if (item == "-") return keep(after, state);  // env's --ignore-environment
  state.options_open = false;
  // A variable, for env, sudo and the like.
  if (state.n_operands == 0 && item.find('=') != std::string_view::npos) return keep(after, state);
  if (state.n_operands > 0) {
    --state.n_operands;
    return keep(after, state);
  }
  keep(after, enter(before, item));
}

void take_by_find(const State& before, std::string_view item, States& after) {
  State state = before;
  for (const std::string_view option :
       {"-exec", "-execdir", "-ok", "-okdir", "-x", "-X", "--exec", "--exec-batch"}) {
    if (item != option) continue;
    state.in_find = true;
    state.reader = Reader::nothing_yet;
  }
  keep(after, state);
}

/// A fixed item.
void take(const State& before, std::string_view item, States& after) {
  if (before.in_find && (item == ";" || item == "+")) {
    State state = before;
    state.reader = Reader::find;
    return keep(after, state);
  }
  switch (before.reader) {
    case Reader::nothing_yet:
      return keep(after, enter(before, item));
    case Reader::interpreter:
      return take_by_interpreter(before, item, after);
    case Reader::starter:
      return take_by_starter(before, item, after);
    case Reader::find:
      return take_by_find(before, item, after);
    case Reader::everywhere:
    case Reader::plain:
      return keep(after, before);
  }
}

std::string safe_way(const State& state) {
  if (state.interpreter != nullptr && state.interpreter->form == Interpreter::Form::shell) {
    return fmt::format(
        "give a fixed script first and the value behind it, where the script has it as \"$1\": "
        "[{}, -c, 'grep -- \"$1\"', {}, \"{{name}}\"]",
        state.program, state.program);
  }
  return "give a fixed script first, or a fixed file with it, and the value behind it as an "
         "argument of its own, which the script reads as data";
}

/// Why a value must not stand here.
Why fault_of(const State& state, const CommandWord& word) {
  const std::string& place = word.place;
  const bool is_option = word.head.starts_with('-') || word.head.starts_with('+');
  const bool may_be_option = is_option || word.may_begin_with_dash;
  if (state.in_find && word.may_begin_with_dash) {
    return fmt::format(
        "{} could end find's -exec and begin another one; take it out of "
        "may_begin_with_dash and put no \"--\" before it",
        place);
  }
  switch (state.reader) {
    case Reader::nothing_yet:
      return fmt::format("{} stands where a program is named; the program must be a fixed text",
                         place);
    case Reader::everywhere:
      return fmt::format(
          "{} would be read by {}, which hands text to a shell or runs programs named in it; "
          "run a fixed script of an interpreter instead, with the value behind it: "
          "[python3, tools/x.py, \"{{name}}\"]",
          place, state.program);
    case Reader::starter:
      if (state.n_operands > 0 && state.n_values == 0 && !state.text_next && !word.is_list &&
          !may_be_option) {
        return std::nullopt;  // the time of timeout, the file of flock
      }
      return fmt::format(
          "{} stands before the program that {} starts, and could name one; write that program and "
          "all before it as fixed texts, and variables under run.environment",
          place, state.program);
    case Reader::find:
      if (!may_be_option) return std::nullopt;
      return fmt::format("{} could become -exec, with which {} starts a program", place,
                         state.program);
    case Reader::interpreter:
      break;
    case Reader::plain:
      return std::nullopt;
  }
  if (!state.has_script || state.text_next || state.file_next || state.n_values > 0) {
    return fmt::format("{} stands in a program text that {} would read, or where it names one; {}",
                       place, state.program, safe_way(state));
  }
  if (state.options_open && may_be_option) {
    return fmt::format(
        "{} could become an option of {} with a program text; put a fixed \"--\" "
        "between the script and the value, and take it out of may_begin_with_dash",
        place, state.program);
  }
  if (state.opens_operands) {
    return fmt::format(
        "{} stands where {} -n and -p open files, and a name like \"id|\" is a "
        "program text there; open the file in the script",
        place, state.program);
  }
  return std::nullopt;
}

/// One way on for each way so far.
Why go_on(States& states, const CommandWord& word) {
  States after;
  for (const auto& state : states) {
    if (word.place.empty()) {
      take(state, word.head, after);
      continue;
    }
    if (auto why = fault_of(state, word)) return why;
    State next = state;
    if (next.reader == Reader::starter) --next.n_operands;
    keep(after, next);
  }
  states = std::move(after);
  return std::nullopt;
}

Why fault_of_input(const State& state, std::string_view place) {
  const std::string name = fmt::format("{} in standard input", place);
  if (state.in_xargs) {
    if (state.replaces && state.reader != Reader::plain) {
      return fmt::format(
          "{} would be put into the program text by xargs; leave its option for "
          "replacing out, so that the value stands behind the script",
          name);
    }
    return fault_of(state, {.place = name, .is_list = true, .may_begin_with_dash = true});
  }
  if (state.reader == Reader::everywhere) return fault_of(state, {.place = name});
  if (state.reader != Reader::interpreter || (state.has_script && !state.reads_input)) {
    return std::nullopt;
  }
  return fmt::format("{} is a program text that {} would read; {}", name, state.program,
                     safe_way(state));
}

}  // namespace

std::optional<ProgramTextFault> find_program_text(const std::vector<CommandWords>& parts,
                                                  std::string_view stdin_place) {
  States states{State{}};
  for (size_t i = 0; i < parts.size(); ++i) {
    if (states.size() > kStatesMax) {
      return ProgramTextFault{.part = i,
                              .why =
                                  "up to here the command line can be read in too many ways; "
                                  "write fewer groups that can be left out"};
    }
    const States without = states;
    for (size_t k = 0; k < parts[i].words.size(); ++k) {
      if (auto why = go_on(states, parts[i].words[k])) {
        return ProgramTextFault{.part = i, .word = k, .why = std::move(*why)};
      }
    }
    if (!parts[i].may_be_absent) continue;
    for (const auto& state : without) keep(states, state);
  }
  if (stdin_place.empty()) return std::nullopt;
  for (const auto& state : states) {
    if (auto why = fault_of_input(state, stdin_place)) {
      return ProgramTextFault{.in_stdin = true, .why = std::move(*why)};
    }
  }
  return std::nullopt;
}

bool is_start_up_variable(std::string_view name) {
  for (const std::string_view prefix :
       {"LD_", "DYLD_", "BASH_", "PYTHON", "PERL", "RUBY", "LUA_", "PHP", "GIT_CONFIG", "GCONV_",
        "AWK", "TCL", "GEM_", "NPM_CONFIG_", "npm_config_", "XDG_CONFIG", "MAKE", "JULIA_"}) {
    if (name.starts_with(prefix)) return true;
  }
  constexpr std::string_view kNames[] = {"PATH",
                                         "HOME",
                                         "ENV",
                                         "SHELL",
                                         "SHELLOPTS",
                                         "BASHOPTS",
                                         "PS1",
                                         "PS4",
                                         "PROMPT_COMMAND",
                                         "ZDOTDIR",
                                         "IFS",
                                         "CDPATH",
                                         "FPATH",
                                         "NODE_OPTIONS",
                                         "NODE_PATH",
                                         "GNUMAKEFLAGS",
                                         "PAGER",
                                         "MANPAGER",
                                         "EDITOR",
                                         "VISUAL",
                                         "BROWSER",
                                         "LESSOPEN",
                                         "LESSCLOSE",
                                         "LESS",
                                         "GIT_SSH",
                                         "GIT_SSH_COMMAND",
                                         "GIT_PAGER",
                                         "GIT_EDITOR",
                                         "GIT_SEQUENCE_EDITOR",
                                         "GIT_EXTERNAL_DIFF",
                                         "GIT_ASKPASS",
                                         "GIT_PROXY_COMMAND",
                                         "GIT_EXEC_PATH",
                                         "GIT_TEMPLATE_DIR",
                                         "GIT_DIR",
                                         "GIT_COMMON_DIR",
                                         "SSH_ASKPASS",
                                         "SUDO_ASKPASS",
                                         "INPUTRC",
                                         "VIMINIT",
                                         "EXINIT",
                                         "R_PROFILE",
                                         "R_PROFILE_USER",
                                         "R_ENVIRON",
                                         "JAVA_TOOL_OPTIONS",
                                         "_JAVA_OPTIONS",
                                         "JDK_JAVA_OPTIONS",
                                         "CLASSPATH",
                                         "RUSTC_WRAPPER",
                                         "RUSTC",
                                         "CC",
                                         "CXX",
                                         "DOTNET_STARTUP_HOOKS",
                                         "SED"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace sable::tools
