// Values never become programs: which places of a command line, of standard input and of the
// environment are refused when a file of tools is read, and which are not.
#include "tools/program_text.h"

#include <catch2/catch.hpp>
#include <rapidcheck/catch.h>

#include "tests/support/contains.h"
#include "tests/unit/tools/tool_fixture.h"
#include "tools/tools.h"

using namespace sable;
using namespace sable::tools;

namespace {

/// A file of one tool; `run` is what stands under its key of that name, in flow style.
std::string file_with(const std::string& run) {
  return "tools:\n"
         "  - name: say\n"
         "    description: says it\n"
         "    parameters:\n"
         "      type: object\n"
         "      properties: {text: {type: string}, count: {type: integer}, loud: {type: boolean},\n"
         "                   more: {type: array, items: {type: string}}}\n"
         "      required: [text, count, more]\n"
         "    run:\n"
         "      " +
         run + "\n";
}

/// Empty when the file is accepted.
std::string refusal_of(const std::string& run) {
  Registry registry;
  const auto added = registry.add_yaml(file_with(run), "t.yaml");
  return added ? "" : added.error().message;
}

void check_refused(std::initializer_list<const char*> runs) {
  for (const char* run : runs) {
    INFO(run);
    const std::string error = refusal_of(run);
    CHECK(error.starts_with("t.yaml:10:"));
    CHECK(contains(error, "}\""));
  }
}

void check_accepted(std::initializer_list<const char*> runs) {
  for (const char* run : runs) {
    INFO(run);
    CHECK(refusal_of(run) == "");
  }
}

}  // namespace

TEST_CASE("a value in a shell's script is refused however the shell is started") {
  check_refused({
      "argv: [sh, -c, \"echo {text}\"]",
      "argv: [/bin/bash, -ec, \"{text}\"]",
      "argv: [bash, -c, --, \"echo {text}\"]",
      "argv: [bash, -c, -e, \"echo {text}\"]",
      "argv: [bash, -euo, pipefail, -c, \"echo {text}\"]",
      "argv: [bash, -o, pipefail, \"{text}\"]",
      "argv: [bash, \"--rcfile={text}\", -i]",
      "argv: [bash, --rcfile, \"{text}\", -i]",
      "argv: [sh, +c, \"{text}\"]",
      "argv: [sh, \"-c{text}\"]",
      "argv: [sh, \"{text}\"]",
      "argv: [sh, --, \"{text}\"]",
      "argv: [rbash, -c, \"{text}\"]",
      "argv: [ash, -c, \"{text}\"]",
      "argv: [bash-5.2, -c, \"{text}\"]",
      "argv: [fish, -c, 'echo 1', -c, \"{text}\"]",
      "argv: [busybox, sh, -c, \"{text}\"]",
      "argv: [busybox, \"{text}\"]",
      "argv: [sh, {if: loud, then: [script.sh]}, \"{text}\"]",
      "argv: [sh, {if: loud, then: [-c]}, \"{text}\"]",
      "argv: [sh, \"{more...}\"]",
  });
}

TEST_CASE("a value in a shell's script is refused behind programs that start others") {
  check_refused({
      "argv: [env, sh, -c, \"echo {text}\"]",
      "argv: [env, -i, -u, B, A=1, sh, -c, \"echo {text}\"]",
      "argv: [env, \"LD_PRELOAD={text}\", ls]",
      "argv: [env, '-', sh, -c, \"{text}\"]",
      "argv: [sudo, A=1, sh, -c, \"{text}\"]",
      "argv: [timeout, --signal, KILL, \"5\", sh, -c, \"{text}\"]",
      "argv: [env, -S, \"{text}\"]",
      "argv: [env, -S, 'sh -c', \"{text}\"]",
      "argv: [env, '--split-string=sh -c', \"{text}\"]",
      "argv: [env, \"{text}\"]",
      "argv: [timeout, \"5\", sh, -c, \"{text}\"]",
      "argv: [timeout, -k, \"1\", \"5\", sh, -c, \"{text}\"]",
      "argv: [timeout, \"{text}\", \"{text}\"]",
      "argv: [timeout, \"5\", \"{text}\"]",
      "argv: [nice, -n, \"5\", \"{text}\"]",
      "argv: [nice, -n, \"5\", nohup, setsid, sh, -c, \"{text}\"]",
      "argv: [xargs, sh, -c, \"{text}\"]",
      "argv: [stdbuf, -o, L, bash, -c, \"{text}\"]",
      "argv: [sudo, -u, nobody, \"{text}\"]",
      "argv: [sudo, -s, \"{text}\"]",
      "argv: [flock, lock, -c, \"{text}\"]",
      "argv: [find, ., -exec, sh, -c, \"{text}\", ;]",
      "argv: [find, ., -exec, \"{text}\", ;]",
      "argv: [find, ., -exec, ls, ;, -exec, sh, -c, \"{text}\", ;]",
      "argv: [find, ., -exec, ls, --, \"{more...}\", ;]",
      "argv: [find, --, \"{text}\"]",
      "argv: [watch, ls, \"{text}\"]",
      "argv: [ssh, host, ls, \"{text}\"]",
      "argv: [env, {if: loud, then: [sh, -c]}, \"{text}\"]",
  });
}

TEST_CASE("a value in the program of an interpreter is refused, attached to its option as well") {
  check_refused({
      "argv: [python3, -c, \"print('{text}')\"]",
      "argv: [python3, \"-cprint('{text}')\"]",
      "argv: [/usr/bin/python3.11, -Bc, \"{text}\"]",
      "argv: [python3, -W, ignore, \"{text}\"]",
      "argv: [python3, -m, \"{text}\"]",
      "argv: [python3, -m, timeit, \"{text}\"]",
      "argv: [python3, -mtimeit, \"{text}\"]",
      "argv: [python3, \"{text}\"]",
      "argv: [node, -e, \"{text}\"]",
      "argv: [node, --eval, \"{text}\"]",
      "argv: [node, \"--eval={text}\"]",
      "argv: [node, --require, ./x.js, -e, \"{text}\"]",
      "argv: [node, -p, \"{text}\"]",
      "argv: [node, -pe, \"{text}\"]",
      "argv: [tclsh, -encoding, utf-8, \"{text}\"]",
      "argv: [perl, -ne, \"print {text}\"]",
      "argv: [perl, -E, \"{text}\"]",
      "argv: [perl, \"-e{text}\"]",
      "argv: [perl, -e, '1', -e, \"{text}\"]",
      "argv: [perl, -e, '1', \"-M{text}\"]",
      "argv: [perl, -e, --, \"{text}\"]",
      "{argv: [perl, -e, '1', \"{text}\"], may_begin_with_dash: [text]}",
      "argv: [perl, -ne, print, --, \"{text}\"]",  // opens "id|" as a program
      "argv: [ruby, -e, \"{text}\"]",
      "argv: [php, -r, \"{text}\"]",
      "argv: [lua, -e, 'x = 1', \"{text}\"]",  // names the script
      "argv: [awk, \"{text}\"]",
      "argv: [awk, \"{{print {text}}}\", file]",
      "argv: [gawk, -F, ':', \"{text}\"]",
      "argv: [awk, -f, \"{text}\"]",
      "argv: [sed, \"s/a/{text}/\"]",
      "argv: [sed, -e, \"{text}\"]",
      "argv: [sed, 's/a/b/', file, -e, \"{text}\"]",
      "argv: [tclsh, \"{text}\"]",
      "argv: [sqlite3, db, \"{text}\"]",
  });
}

TEST_CASE("standard input that an interpreter reads as its program holds no values") {
  check_refused({
      "{argv: [sh], stdin: \"echo {text}\"}",
      "{argv: [sh, -s, x], stdin: \"echo {text}\"}",
      "{argv: [bash, /dev/stdin], stdin: \"{text}\"}",
      "{argv: [env, bash], stdin: \"{text}\"}",
      "{argv: [python3, '-'], stdin: \"{text}\"}",
      "{argv: [python3, -i, x.py], stdin: \"{text}\"}",
      "{argv: [awk, -f, '-', file], stdin: \"{text}\"}",
      "{argv: [node], stdin: \"{*:json}\"}",
      "{argv: [sh, {if: loud, then: [x.sh]}], stdin: \"{text}\"}",
      "{argv: [xargs, sh, -c], stdin: \"{text}\"}",
      "{argv: [xargs, '-I%', sh, -c, 'echo %'], stdin: \"{text}\"}",
      "{argv: [xargs, perl, -e, '1'], stdin: \"{text}\"}",
      "{argv: [sqlite3, db], stdin: \"{text}\"}",
  });
  check_accepted({
      "{argv: [sh, -c, cat], stdin: \"{text}\"}",
      "{argv: [python3, tools/x.py], stdin: \"{*:json}\"}",
      "{argv: [sort], stdin: \"{text}\"}",
      "{argv: [sh], stdin: \"echo fixed\"}",
      "{argv: [xargs, sh, -c, 'printf %s \"$1\"', sh], stdin: \"{text}\"}",
      "{argv: [sed, -n, '1p'], stdin: \"{text}\"}",
  });
}

TEST_CASE("variables by which programs find or start code hold no values") {
  for (const char* name :
       {"LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "ENV", "PATH", "PYTHONSTARTUP", "PYTHONPATH",
        "NODE_OPTIONS", "PERL5OPT", "RUBYOPT", "GIT_SSH_COMMAND", "HOME"}) {
    INFO(name);
    const std::string variable = std::string("{argv: [ls], environment: {") + name;
    const std::string error = refusal_of(variable + ": \"{text}\"}}");
    CHECK(error.starts_with("t.yaml:10:"));
    CHECK(contains(error, std::string("\"{text}\" would stand in ") + name));
    CHECK(refusal_of(variable + ": fixed}}") == "");
  }
  CHECK(refusal_of("{argv: [ls], environment: {GREETING: \"{text}\", NODE_ENV: \"{text}\"}}") ==
        "");
}

TEST_CASE("values behind a fixed script are data") {
  check_accepted({
      "argv: [sh, -c, 'grep -- \"$1\"', sh, \"{text}\"]",
      "argv: [bash, -euo, pipefail, -c, 'echo \"$1\"', bash, \"{text}\", \"{more...}\"]",
      "argv: [bash, --norc, -c, 'echo \"$1\"', bash, \"{text}\"]",
      "argv: [sh, script.sh, \"{text}\"]",
      "argv: [env, -i, A=1, sh, -c, 'echo \"$1\"', sh, \"{text}\"]",
      "argv: [python3, tools/x.py, \"{text}\", \"--max={count}\"]",
      "argv: [python3, -c, 'import sys', \"{text}\", \"-x{count}\"]",
      "argv: [python3, -m, pytest, -k, \"{text}\"]",
      "argv: [perl, -e, 'print @ARGV', --, \"{text}\"]",
      "argv: [perl, -e, 'print @ARGV', \"{text}\"]",
      "argv: [node, x.js, \"{text}\"]",
      "argv: [node, --no-warnings, x.js, \"{text}\"]",
      "argv: [awk, '{{print}}', \"{text}\"]",
      "argv: [awk, -F, ':', -f, x.awk, \"{text}\"]",
      "argv: [sed, -n, -e, '1p', --, \"{text}\"]",
      "argv: [sed, -i, 's/a/b/', \"{text}\"]",
      "argv: [timeout, \"{count}\", make, \"{text}\"]",
      "argv: [timeout, --foreground, \"{count}s\", grep, -e, x, --, \"{text}\"]",
      "argv: [nice, -n, \"5\", grep, --, \"{text}\"]",
      "argv: [flock, lock, -c, 'make all', \"{text}\"]",
      "argv: [find, \"{text}\", -exec, sh, -c, 'wc \"$1\"', sh, '{{}}', ;]",
      "argv: [find, ., -name, \"{text}\"]",
      "argv: [grep, -c, \"{text}\"]",
      "argv: [cc, -c, \"{text}\"]",
      "argv: [jq, \"{text}\"]",
      "argv: [./deploy.sh, \"{text}\"]",
  });
}

TEST_CASE("a refused place is named with line, column, reason and the safe way") {
  CHECK(refusal_of("argv: [bash, -c, --, \"echo {text}\"]") ==
        "t.yaml:10:28: \"{text}\" stands in a program text that bash would read, or where it names "
        "one; give a fixed script first and the value behind it, where the script has it as "
        "\"$1\": [bash, -c, 'grep -- \"$1\"', bash, \"{name}\"]");
  CHECK(refusal_of("argv: [ls, {if: loud, then: [a]}]") == "");
  CHECK(refusal_of("argv: [sh, {if: loud, then: [-x, \"{text}\"]}]").starts_with("t.yaml:10:"));
  CHECK(
      refusal_of("{argv: [sh], stdin: \"{text}\"}").starts_with("t.yaml:10:27: \"{text}\" in sta"));
}

TEST_CASE("a command line with too many ways to be read is refused, soon") {
  std::vector<CommandWords> parts;
  for (int i = 0; i < 2'000; ++i) {
    parts.push_back(
        {.words = {{.head = "env"}, {.head = "--o" + std::to_string(i)}}, .may_be_absent = true});
    parts.push_back({.words = {{.head = "./sh" + std::to_string(i) + "/sh"}, {.head = "-ooooc"}},
                     .may_be_absent = true});
  }
  parts.push_back({.words = {{.place = "\"{x}\""}}});
  const auto fault = find_program_text(parts, "");
  REQUIRE(fault);
  CHECK_FALSE(fault->why.empty());
}

TEST_CASE("no command line of known words crashes the search, and none lets sh -c have a value") {
  rc::prop("any words", [](const std::vector<uint8_t>& choices) {
    const std::vector<std::string> words = {"env", "timeout", "5",    "-n",   "--",    "-i",
                                            "A=1", "nice",    "sudo", "find", "-exec", "xargs"};
    std::vector<CommandWords> parts;
    for (const uint8_t choice : choices) {
      parts.push_back(
          {.words = {{.head = words[choice % words.size()]}}, .may_be_absent = choice >= 128});
    }
    const size_t before = parts.size();
    for (const char* word : {"sh", "-c"}) parts.push_back({.words = {{.head = word}}});
    parts.push_back({.words = {{.head = "echo ", .place = "\"{x}\""}}});
    const auto fault = find_program_text(parts, "\"{y}\"");
    if (before == 0) RC_ASSERT(fault.has_value());
  });
}
