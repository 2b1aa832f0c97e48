#include "tools/program_names.h"

#include <algorithm>
#include <iterator>

namespace sable::tools {

namespace {

constexpr std::string_view kShells[] = {"sh",   "bash", "rbash", "dash", "ash",  "hush", "zsh",
                                        "rzsh", "ksh",  "rksh",  "mksh", "lksh", "oksh", "pdksh",
                                        "yash", "posh", "csh",   "tcsh", "bosh", "osh",  "elvish",
                                        "sash", "rc",   "es",    "bsh",  "loksh"};

constexpr Interpreter kShell{
    .name = "sh",
    .form = Interpreter::Form::shell,
    .texts = "c",
    .values = "oO",
    .from_input = "s",
    .flags = "--norc --noprofile --posix --login --restricted --verbose --no-rcs"};

constexpr Interpreter kInterpreters[] = {
    {.name = "python",
     .form = Interpreter::Form::ends,
     .texts = "c",
     .files = "m",
     .values = "WX",
     .from_input = "i"},
    {.name = "pypy",
     .form = Interpreter::Form::ends,
     .texts = "c",
     .files = "m",
     .values = "WX",
     .from_input = "i"},
    {.name = "xonsh",
     .form = Interpreter::Form::ends,
     .texts = "c",
     .values = "D",
     .from_input = "i"},
    {.name = "guile",
     .form = Interpreter::Form::ends,
     .texts = "c",
     .files = "s",
     .values = "eLlx"},
    {.name = "fish",
     .texts = "c",
     .values = "CdDfop",
     .from_input = "i",
     .flags = "--no-config --login --private"},
    {.name = "perl", .texts = "eE", .values = "I", .attached = "iFxDMmV"},
    {.name = "ruby",
     .texts = "e",
     .values = "CEIr",
     .attached = "iFxTWK",
     .flags = "--verbose --disable-gems"},
    {.name = "node",
     .texts = "ep",
     .values = "rC",
     .from_input = "i",
     .flags = "--no-warnings --enable-source-maps --test --trace-warnings --no-deprecation"},
    {.name = "nodejs", .texts = "ep", .values = "rC", .from_input = "i", .flags = "--no-warnings"},
    {.name = "tsx", .texts = "ep", .values = "rC", .from_input = "i"},
    {.name = "ts-node", .texts = "ep", .values = "rCPDO", .from_input = "i"},
    {.name = "php", .texts = "rBRE", .files = "fF", .values = "dczgSt", .from_input = "a"},
    {.name = "awk",
     .texts = "e",
     .files = "fE",
     .values = "vFilW",
     .attached = "dDLop",
     .flags = "--posix --csv --sandbox --re-interval"},
    {.name = "sed",
     .texts = "e",
     .files = "f",
     .values = "lN",
     .attached = "i",
     .flags = "--quiet --silent --regexp-extended --null-data --zero-terminated --separate "
              "--unbuffered --posix --sandbox --follow-symlinks --in-place",
     .permutes = true},
    {.name = "lua",
     .form = Interpreter::Form::operand,
     .texts = "e",
     .values = "l",
     .from_input = "i"},
    {.name = "luajit",
     .form = Interpreter::Form::operand,
     .texts = "e",
     .values = "l",
     .attached = "jOb",
     .from_input = "i"},
    {.name = "tclsh", .form = Interpreter::Form::operand},
    {.name = "wish", .form = Interpreter::Form::operand},
    {.name = "expect",
     .form = Interpreter::Form::operand,
     .texts = "c",
     .files = "fb",
     .from_input = "i"},
    {.name = "Rscript", .texts = "e", .flags = "--vanilla --verbose"},
    {.name = "julia", .texts = "eE", .values = "LpJHtC", .from_input = "i"},
    {.name = "elixir",
     .form = Interpreter::Form::operand,
     .texts = "e",
     .files = "S",
     .values = "rp"},
    {.name = "osascript", .texts = "e", .values = "ls", .from_input = "i"},
};

/// Names of the same program.
constexpr std::string_view kAwks[] = {"gawk", "mawk", "nawk", "original-awk", "bwk", "goawk"};

constexpr Starter kStarters[] = {
    {.name = "env", .values = "uCa", .texts = "S", .flags = "--ignore-environment --null --debug"},
    {.name = "timeout",
     .n_operands = 1,
     .values = "ks",
     .flags = "--foreground --preserve-status --verbose"},
    {.name = "nice", .values = "n"},
    {.name = "ionice", .values = "cnpPu"},
    {.name = "chrt", .n_operands = 1, .values = "TPD"},
    {.name = "taskset", .n_operands = 1},
    {.name = "nohup"},
    {.name = "setsid", .flags = "--wait --fork --ctty"},
    {.name = "xargs",
     .values = "InPLsdEaJRS",
     .attached = "iel",
     .flags = "--null --no-run-if-empty --verbose --exit --open-tty"},
    {.name = "stdbuf", .values = "ioe"},
    {.name = "unbuffer"},
    {.name = "time", .values = "fo", .flags = "--verbose --portability --append --quiet"},
    {.name = "sudo",
     .values = "ugpCcrtTUhDRa",
     .texts = "si",
     .flags = "--non-interactive --preserve-env --stdin --set-home"},
    {.name = "doas", .values = "uCa", .texts = "s"},
    {.name = "flock",
     .n_operands = 1,
     .values = "wE",
     .texts = "c",
     .flags = "--shared --exclusive --nonblock --unlock --close --no-fork --verbose"},
    {.name = "chroot", .n_operands = 1, .flags = "--skip-chdir"},
    {.name = "setarch", .n_operands = 1},
    {.name = "setpriv"},
    {.name = "prlimit", .values = "p", .attached = "cdefilmnqrstuvxy"},
    {.name = "unshare", .values = "SGRwl", .attached = "muinpUCT", .flags = "--fork --user --net"},
    {.name = "nsenter", .values = "tSG", .attached = "muinpUCTrw"},
    {.name = "strace", .values = "eopsuEPISaObX"},
    {.name = "ltrace", .values = "eopsuaADFlnwx"},
    {.name = "fakeroot", .values = "lsibu"},
    {.name = "faketime", .n_operands = 1, .values = "pe"},
    {.name = "rlwrap", .values = "abBCDfgHlmMOpPqsStwz"},
    {.name = "busybox"},
    {.name = "toybox"},
    {.name = "command"},
    {.name = "exec", .values = "a"},
    {.name = "caffeinate", .values = "tw"},
};

constexpr std::string_view kEverywhere[] = {"ssh",      "watch",       "parallel",
                                            "su",       "runuser",     "script",
                                            "nu",       "at",          "batch",
                                            "pwsh",     "deno",        "bun",
                                            "capsh",    "gdb",         "lldb",
                                            "dc",       "ed",          "ex",
                                            "vi",       "vim",         "nvim",
                                            "view",     "emacs",       "m4",
                                            "sqlite3",  "psql",        "mysql",
                                            "mariadb",  "gnuplot",     "octave",
                                            "irb",      "ipython",     "ghci",
                                            "jshell",   "tmux",        "screen",
                                            "bwrap",    "systemd-run", "xterm",
                                            "mongo",    "mongosh",     "R",
                                            "erl",      "groovy",      "scala",
                                            "clojure",  "sbcl",        "racket",
                                            "firejail", "npx",         "start-stop-daemon",
                                            "bpftrace", "dtrace",      "xvfb-run"};

constexpr std::string_view kFinds[] = {"find", "gfind", "bfs", "fd", "fdfind"};

template <size_t n>
bool is_one_of(std::string_view name, const std::string_view (&names)[n]) {
  return std::find(names, names + n, name) != names + n;
}

std::string_view without_folder(std::string_view program) {
  const size_t slash = program.rfind('/');
  return slash == std::string_view::npos ? program : program.substr(slash + 1);
}

/// "python" of "/usr/bin/python3.11".
std::string_view without_version(std::string_view name) {
  const size_t end = name.find_last_not_of("0123456789.-");
  return end == std::string_view::npos ? name : name.substr(0, end + 1);
}

/// Asks `known` for the name as it stands and without its version.
template <class Known>
auto by_name(std::string_view program, const Known& known) {
  const std::string_view name = without_folder(program);
  const auto found = known(name);
  return found ? found : known(without_version(name));
}

}  // namespace

const Interpreter* find_interpreter(std::string_view program) {
  return by_name(program, [](std::string_view name) -> const Interpreter* {
    if (is_one_of(name, kShells)) return &kShell;
    if (is_one_of(name, kAwks)) name = "awk";
    if (name == "gsed") name = "sed";
    if (name == "python-dbg" || name == "pythonw") name = "python";
    const auto* const it = std::find_if(std::begin(kInterpreters), std::end(kInterpreters),
                                        [&](const Interpreter& one) { return one.name == name; });
    return it == std::end(kInterpreters) ? nullptr : it;
  });
}

const Starter* find_starter(std::string_view program) {
  return by_name(program, [](std::string_view name) -> const Starter* {
    if (name.size() > 1 && name[0] == 'g' &&
        (name == "gtimeout" || name == "gxargs" || name == "genv" || name == "gnice" ||
         name == "gstdbuf" || name == "gtime")) {
      name.remove_prefix(1);
    }
    const auto* const it = std::find_if(std::begin(kStarters), std::end(kStarters),
                                        [&](const Starter& one) { return one.name == name; });
    return it == std::end(kStarters) ? nullptr : it;
  });
}

bool reads_commands_everywhere(std::string_view program) {
  return by_name(program, [](std::string_view name) { return is_one_of(name, kEverywhere); });
}

bool is_find(std::string_view program) { return is_one_of(without_folder(program), kFinds); }

}  // namespace sable::tools
