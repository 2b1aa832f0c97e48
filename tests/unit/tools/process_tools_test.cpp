// Programs in the background of a session, in the real sandbox.
#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/support/contains.h"
#include "tests/unit/tools/tool_fixture.h"

using namespace sable;
namespace fs = std::filesystem;

namespace {

/// How many processes of this machine have `marker` in their command line.
int processes_with(const std::string& marker) {
  int n = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    const std::string line((std::istreambuf_iterator<char>(file)), {});
    n += contains(line, marker) ? 1 : 0;
  }
  return n;
}

}  // namespace

TEST_CASE("a process is started, talked to and stopped, while other calls go on") {
  test::SandboxedTools at;
  const auto started = at.call(
      "process_start",
      {{"command", "while read line; do echo \"got $line\"; done; echo bye"}, {"wait_seconds", 0}});
  INFO(started.text);
  REQUIRE(started.ok);
  CHECK(started.text == "[nothing new]\n[p1 runs]\n");
  CHECK(at.call("shell", {{"command", "echo meanwhile"}}).text.starts_with("meanwhile\n"));
  const auto written = at.call(
      "process_write",
      {{"process", "p1"}, {"text", "one\ntwo\n"}, {"wait_seconds", 20}, {"wait_for", "two"}});
  CHECK(contains(written.text, "got one\ngot two\n[p1 runs]\n"));
  const auto closed = at.call(
      "process_write",
      {{"process", "p1"}, {"close_input", true}, {"wait_seconds", 20}, {"wait_for", "[never]"}});
  CHECK(closed.text == "bye\n[p1 has ended: exit code 0]\n");
  CHECK(closed.ok);
  CHECK(closed.details["running"] == false);
  // Its end is told once.
  const auto gone = at.call("process_read", {{"process", "p1"}});
  CHECK_FALSE(gone.ok);
  CHECK(gone.text == "there is no process \"p1\"; none is running");
}

TEST_CASE("a process is stopped with all that it started, and shows its last words") {
  test::SandboxedTools at;
  const std::string marker = "4242.0" + std::to_string(::getpid());
  const auto started = at.call(
      "process_start", {{"command", "sleep " + marker + " & sleep " + marker +
                                        " & echo up; trap 'echo last words; exit 3' TERM; wait"},
                        {"wait_seconds", 20},
                        {"wait_for", "up\n"}});
  CHECK(contains(started.text, "up\n[p1 runs]\n"));
  CHECK(processes_with(marker) >= 2);
  const auto stopped = at.call("process_stop", {{"process", "p1"}});
  INFO(stopped.text);
  CHECK(stopped.ok);
  CHECK(contains(stopped.text, "[p1 has ended: "));
  CHECK(processes_with(marker) == 0);
  CHECK_FALSE(at.call("process_stop", {{"process", "p1"}}).ok);
}

TEST_CASE("processes end with their session") {
  const std::string marker = "4343.0" + std::to_string(::getpid());
  {
    test::SandboxedTools at;
    CHECK(at.call("process_start", {{"command", "setsid sleep " + marker + " & echo up; wait"},
                                    {"wait_seconds", 20}})
              .ok);
    CHECK(processes_with(marker) > 0);
    at.close();
    CHECK(processes_with(marker) == 0);
    CHECK_FALSE(at.call("process_read", {{"process", "p1"}}).ok);
    // The workspace can be used on.
    CHECK(at.call("shell", {{"command", "true"}}).ok);
    CHECK(at.call("process_start", {{"command", "sleep " + marker}, {"wait_seconds", 0}}).ok);
  }
  CHECK(processes_with(marker) == 0);
}

TEST_CASE("a program that needs a terminal gets one, with its keys") {
  test::SandboxedTools at;
  const auto plain =
      at.call("process_start", {{"command", "test -t 0 && test -t 1"}, {"wait_seconds", 20}});
  CHECK(contains(plain.text, "exit code 1"));
  const auto shown =
      at.call("process_start",
              {{"command",
                "test -t 0 && test -t 1 && stty size; read -p 'name? ' name; echo \"hi $name\"; "
                "printf '\\033[31mred\\033[0m\\n'; sleep 600"},
               {"terminal", true},
               {"wait_seconds", 20},
               {"wait_for", "name? "}});
  CHECK(contains(shown.text, "40 120\nname? \n[p2 runs]\n"));
  const auto greeted =
      at.call("process_write",
              {{"process", "p2"}, {"text", "Ada\n"}, {"wait_seconds", 20}, {"wait_for", "red"}});
  CHECK(contains(greeted.text, "Ada\nhi Ada\nred\n"));  // typed text is echoed; colours are gone
  const auto interrupted =
      at.call("process_write",
              {{"process", "p2"}, {"text", "\x03"}, {"wait_seconds", 20}, {"wait_for", "[never]"}});
  INFO(interrupted.text);
  CHECK_FALSE(interrupted.ok);
  CHECK(contains(interrupted.text, "[p2 has ended: "));
}

TEST_CASE("a program that draws a whole screen is read as a person sees it") {
  test::SandboxedTools at;
  at.folder.write("menu.py",
                  "import curses\n"
                  "def main(w):\n"
                  "  chosen = 0\n"
                  "  while True:\n"
                  "    w.erase(); w.box(); w.addstr(2, 4, 'Pick one', curses.A_BOLD)\n"
                  "    for i, name in enumerate(['red', 'green']):\n"
                  "      w.addstr(4 + i, 6, ('> ' if i == chosen else '  ') + name)\n"
                  "    w.move(4 + chosen, 6); w.refresh()\n"
                  "    key = w.getch()\n"
                  "    if key == ord('j'): chosen = 1\n"
                  "    if key == ord('q'): return\n"
                  "curses.wrapper(main)\n"
                  "print('bye')\n");
  const auto shown = at.call("process_start", {{"command", "python3 menu.py"},
                                               {"terminal", true},
                                               {"wait_seconds", 30},
                                               {"wait_for", "  green"}});
  INFO(shown.text);
  CHECK(shown.details["screen"] == true);
  CHECK(contains(shown.text, "[the screen; the cursor is in row 5, column 7]\n┌──"));
  CHECK(contains(shown.text, "\n│   Pick one"));
  CHECK(contains(shown.text, "\n│     > red  "));
  CHECK(contains(shown.text, "\n│       green"));
  CHECK_FALSE(contains(shown.text, "\033"));
  const auto moved =
      at.call("process_write",
              {{"process", "p1"}, {"text", "j"}, {"wait_seconds", 30}, {"wait_for", "> green"}});
  CHECK(contains(moved.text, "\n│       red  "));
  CHECK(contains(moved.text, "\n│     > green"));
  CHECK(contains(moved.text, "Pick one"));  // what was not drawn anew still stands there
  CHECK(contains(moved.text, "cursor is in row 6, column 7]"));
  // Nothing new was said, and the screen is still there to be looked at.
  CHECK(
      contains(at.call("process_read", {{"process", "p1"}, {"wait_seconds", 0}}).text, "> green"));
  const auto left =
      at.call("process_write",
              {{"process", "p1"}, {"text", "q"}, {"wait_seconds", 30}, {"wait_for", "[never]"}});
  CHECK(contains(left.text, "bye\n[p1 has ended: exit code 0]"));
  CHECK_FALSE(contains(left.text, "Pick one"));
}

TEST_CASE("a pager and an editor are read as a person sees them, where they are installed") {
  test::SandboxedTools at;
  std::string lines;
  for (int i = 1; i <= 200; ++i) lines += "line " + std::to_string(i) + "\n";
  at.folder.write("long.txt", lines);
  const auto start = [&](const std::string& command, const std::string& wanted) {
    return at
        .call(
            "process_start",
            {{"command", command}, {"terminal", true}, {"wait_seconds", 30}, {"wait_for", wanted}})
        .text;
  };
  const auto type = [&](const std::string& process, const std::string& text,
                        const std::string& wanted) {
    return at
        .call("process_write",
              {{"process", process}, {"text", text}, {"wait_seconds", 30}, {"wait_for", wanted}})
        .text;
  };
  if (fs::exists("/usr/bin/less")) {
    const auto first = start("less long.txt", "line 39");
    INFO(first);
    CHECK(contains(first, "column"));
    CHECK(contains(first, "]\nline 1\nline 2\n"));
    const auto end = type("p1", "G", "line 200");
    CHECK(contains(end, "]\nline 162\nline 163\n"));
    CHECK_FALSE(contains(end, "line 161\n"));
    const auto back = type("p1", "100g", "line 138");
    CHECK(contains(back, "]\nline 100\nline 101\n"));
  }
  if (fs::exists("/usr/bin/vi")) {
    const auto opened = start("vi -u NONE -n long.txt", "line 39");
    INFO(opened);
    CHECK(contains(opened, "]\nline 1\nline 2\n"));
    const std::string id = fs::exists("/usr/bin/less") ? "p2" : "p1";
    const auto changed = type(id, "ddihello \x1b", "hello line 2");
    CHECK(contains(changed, "]\nhello line 2\nline 3\n"));
    type(id, ":wq\r", "[never]");
    CHECK(at.folder.read("long.txt").starts_with("hello line 2\nline 3\n"));
  }
}

TEST_CASE("a progress line that is written over is shown as it stands") {
  test::SandboxedTools at;
  const auto shown = at.call(
      "process_start",
      {{"command", "echo begin; for i in 10 20 30; do printf \"\\r$i%%\"; done; echo; echo end"},
       {"terminal", true},
       {"wait_seconds", 30},
       {"wait_for", "[never]"}});
  CHECK(contains(shown.text, "begin\n30%\nend\n"));
}

TEST_CASE("a process begins where the shell is, with its variables, and cannot leave the sandbox") {
  test::SandboxedTools at;
  test::TemporaryFolder outside;
  fs::create_directory(at.folder / "sub");
  at.call("shell", {{"command", "cd sub; export WORD=kept"}});
  const auto told = at.call(
      "process_start", {{"command", "pwd; echo \"$WORD\"; echo x > " + (outside / "x").string()},
                        {"wait_seconds", 20},
                        {"wait_for", "[never]"}});
  CHECK(contains(told.text, (at.folder / "sub").string() + "\nkept\n"));
  CHECK_FALSE(told.ok);
  CHECK_FALSE(fs::exists(outside / "x"));
  const auto astray = at.call("process_start", {{"command", "pwd"}, {"working_directory", ".."}});
  CHECK(contains(astray.text, "working_directory: "));
}

TEST_CASE("a wait ends at its time, and long output is kept whole") {
  test::SandboxedTools at;
  const auto silent =
      at.call("process_start",
              {{"command", "echo one; sleep 600"}, {"wait_seconds", 0.3}, {"wait_for", "two"}});
  CHECK(silent.text == "one\n[p1 runs; the text waited for has not come]\n");
  const auto much =
      at.call("process_start",
              {{"command", "seq 100000"}, {"wait_seconds", 30}, {"wait_for", "\n100000\n"}});
  CHECK(contains(much.text, "left out here"));
  CHECK(much.details["cut"] == true);
  CHECK(contains(much.full_output, "\n50000\n"));
}

TEST_CASE("only so many processes run at once, and unknown ones are told those there are") {
  test::SandboxedTools at;
  for (int i = 0; i < 8; ++i) {
    REQUIRE(at.call("process_start", {{"command", "sleep 600"}, {"wait_seconds", 0}}).ok);
  }
  const auto refused = at.call("process_start", {{"command", "sleep 600"}});
  CHECK_FALSE(refused.ok);
  CHECK(contains(refused.text, "stop one of them first"));
  CHECK(contains(at.call("process_read", {{"process", "p99"}}).text, "p3: sleep 600"));
  REQUIRE(at.call("process_stop", {{"process", "p3"}}).ok);
  CHECK(at.call("process_start", {{"command", "sleep 600"}, {"wait_seconds", 0}}).ok);
}

TEST_CASE("a server in the background answers the shell's calls where loopback is allowed") {
  test::SandboxedTools at;
  at.open({.network = sandbox::Network::loopback});
  at.folder.write("page", "served\n");
  const auto served =
      at.call("process_start", {{"command", "exec python3 -u -m http.server --bind 127.0.0.1 8099"},
                                {"wait_seconds", 30},
                                {"wait_for", "Serving"}});
  INFO(served.text);
  REQUIRE(served.ok);
  const auto fetched =
      at.call("shell", {{"command",
                         "python3 -c \"import urllib.request as u; "
                         "print(u.urlopen('http://127.0.0.1:8099/page').read().decode())\""}});
  CHECK(contains(fetched.text, "served\n"));
}

TEST_CASE("the end of a process says what the sandbox denied") {
  test::SandboxedTools at;
  const auto ended =
      at.call("process_start", {{"command", "echo x > /etc/sable-y"}, {"wait_seconds", 20}});
  INFO(ended.text);
  CHECK_FALSE(ended.ok);
  CHECK(contains(ended.text, "[p1 has ended: exit code 1]\n[denied by the sandbox: "));
  CHECK(contains(ended.text, "/etc/sable-y"));
}

TEST_CASE("whoever is asked about shell is asked about processes as well") {
  auto registry = tools::Registry::with_builtins();
  const tools::Call start{.id = "c", .name = "process_start", .arguments = {{"command", "ls"}}};
  const tools::Call write{.id = "c", .name = "process_write", .arguments = {{"process", "p1"}}};
  CHECK(registry.approval_for(start) == tools::Approval::allow);
  REQUIRE(registry.set_approval("shell", tools::Approval::ask));
  CHECK(registry.approval_for(start) == tools::Approval::ask);
  CHECK(registry.approval_for(write) == tools::Approval::ask);
  REQUIRE(registry.set_approval("process_start", tools::Approval::deny));
  CHECK(registry.approval_for(start) == tools::Approval::deny);
}
