// `sable sandbox run` by hand: signals and input pass through, and a person is asked.
#include <csignal>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "sandbox/sandbox.h"
#include "tests/e2e/world.h"
#include "tests/support/contains.h"
#include "tests/support/pseudo_terminal.h"

using namespace sable;
using namespace sable::test;

namespace {

/// `sable sandbox run` with these options and this script, which may write into the repository.
std::vector<std::string> words_of(const World& world, const std::string& script,
                                  std::vector<std::string> options = {}) {
  std::vector<std::string> words = {"sandbox", "run", "--writable", world.repository().string()};
  words.insert(words.end(), options.begin(), options.end());
  for (const char* word : {"--", "sh", "-c"}) words.emplace_back(word);
  words.push_back(script);
  return words;
}

/// What the shell's `script` prints and ends with; it finds `sable sandbox run --` in $run.
Finished in_shell(const World& world, const std::string& script) {
  auto process = world.start_program(
      {"/bin/sh", "-c", "run='" + World::program() + " sandbox run --'; " + script}, "shell");
  return world.finish(process, "shell");
}

TerminalProgram::Options at_terminal(const World& world, std::vector<std::string> words) {
  words.insert(words.begin(), World::program());
  auto environment = world.environment();
  environment.push_back("TERM=xterm");
  return {.argv = std::move(words),
          .environment = std::move(environment),
          .working_directory = world.repository().string()};
}

}  // namespace

TEST_CASE("a signal to sandbox run is the command's, and so is what comes of it") {
  const int number = GENERATE(SIGINT, SIGTERM);
  World world;
  const auto ready = world.repository() / "ready";
  auto trapping = world.start(words_of(
      world, "trap 'echo heard; exit 7' INT TERM; touch ready; while :; do sleep 0.05; done"));
  REQUIRE(world.wait_for(ready));
  REQUIRE(trapping.signal(number));
  const auto trapped = world.finish(trapping);
  CHECK(trapped.exit_code == 7);
  CHECK(trapped.out == "heard\n");

  std::filesystem::remove(ready);
  auto plain = world.start(words_of(world, "touch ready; exec sleep 600"));
  REQUIRE(world.wait_for(ready));
  REQUIRE(plain.signal(number));
  CHECK(world.finish(plain).signal == number);

  std::filesystem::remove(ready);
  auto deaf = world.start(
      words_of(world, "trap 'touch heard' INT TERM; touch ready; while :; do sleep 0.05; done"));
  REQUIRE(world.wait_for(ready));
  REQUIRE(deaf.signal(number));
  REQUIRE(world.wait_for(world.repository() / "heard"));
  REQUIRE(deaf.signal(number));
  CHECK(world.finish(deaf).signal == number);
}

TEST_CASE("sandbox run dies of the signal that its command outlived for the whole grace") {
  World world;
  auto deaf = world.start(words_of(world,
                                   "trap 'touch heard' TERM; touch ready; "
                                   "while :; do sleep 0.05; done"));
  REQUIRE(world.wait_for(world.repository() / "ready"));
  const auto asked = std::chrono::steady_clock::now();
  REQUIRE(deaf.signal(SIGTERM));
  CHECK(world.finish(deaf).signal == SIGTERM);
  CHECK(std::chrono::steady_clock::now() - asked >= sandbox::Limits{}.grace);
  CHECK(std::filesystem::exists(world.repository() / "heard"));
}

TEST_CASE("standard input of sandbox run is the command's: a pipe, a file, nothing") {
  World world;
  CHECK(in_shell(world, "printf 'a\\nb\\n' | $run cat").out == "a\nb\n");
  CHECK(in_shell(world, "seq 100000 | $run wc -l").out == "100000\n");
  CHECK(in_shell(world, "seq 100000 | $run true; echo $?").out == "0\n");
  const auto file = world.folder().write("input", "one\ntwo\nthree\n");
  CHECK(in_shell(world, "{ read line; $run cat; } < " + file.string()).out == "two\nthree\n");
  CHECK(in_shell(world, "$run cat < /dev/null; $run cat <&-; echo $?").out == "0\n");
  CHECK(in_shell(world, "echo x | " + World::program() + " sandbox run --no-sandbox -- cat").out ==
        "x\n");
}

TEST_CASE("what is typed at the terminal goes to the command, its end and Ctrl-C too") {
  World world;
  TerminalProgram typed(
      at_terminal(world, words_of(world, "while read line; do echo got $line; done; echo end")));
  typed.type("one\n");
  REQUIRE(typed.shows("got one"));
  typed.type("\x04");
  CHECK(typed.shows("end"));
  CHECK(typed.finish() == 0);
  CHECK(typed.terminal_as_before());

  TerminalProgram interrupted(at_terminal(
      world, words_of(world,
                      "trap 'echo heard; exit 5' INT; echo ready; while :; do sleep 0.05; "
                      "done")));
  REQUIRE(interrupted.shows("ready"));
  interrupted.type("\x03");
  CHECK(interrupted.shows("heard"));
  CHECK(interrupted.finish() == 5);
}

TEST_CASE("at a terminal the changes of a transaction are asked about") {
  World world;
  const auto made = world.repository() / "made.txt";
  const std::string script =
      "cd " + world.repository().string() + " && echo new > made.txt && exec </dev/null";
  TerminalProgram no(at_terminal(world, words_of(world, script, {"--transaction"})));
  REQUIRE(no.shows("+new"));
  REQUIRE(no.shows("Apply all of it? [y/N] "));
  no.type("n\n");
  CHECK(no.shows("dropped; nothing was changed"));
  CHECK(no.finish() == 0);
  CHECK_FALSE(std::filesystem::exists(made));

  TerminalProgram yes(
      at_terminal(world, words_of(world, script + "; mkdir .vscode", {"--transaction"})));
  REQUIRE(yes.shows("Apply all of it, the protected paths too? [y/N] "));
  CHECK_FALSE(std::filesystem::exists(made));
  yes.type("y\n");
  CHECK(yes.shows("applied"));
  CHECK(yes.finish() == 0);
  CHECK(read_file(made, 100).value() == "new\n");
  CHECK(std::filesystem::exists(world.repository() / ".vscode"));
}

TEST_CASE("Ctrl-C at the question about a transaction drops it") {
  World world;
  const auto made = world.repository() / "made.txt";
  TerminalProgram at(at_terminal(
      world,
      words_of(world, "echo new > " + made.string() + " && exec </dev/null", {"--transaction"})));
  REQUIRE(at.shows("Apply all of it? [y/N] "));
  at.type("\x03");
  CHECK(at.finish() == 128 + SIGINT);
  CHECK_FALSE(std::filesystem::exists(made));
  CHECK(std::filesystem::is_empty(world.home() / "transactions"));
}

TEST_CASE("hosts that are allowed by hand are all that the proxy lets through") {
  World world;
  const auto asked = [&](const std::string& hosts, const std::string& wanted) {
    std::vector<std::string> words = {"sandbox",
                                      "run",
                                      "--network",
                                      "allow=" + hosts,
                                      "--",
                                      "/usr/bin/python3",
                                      "-c",
                                      "import os,socket,sys\n"
                                      "at = os.environ['https_proxy'][7:].split(':')\n"
                                      "s = socket.create_connection((at[0], int(at[1])))\n"
                                      "s.sendall(b'CONNECT " +
                                          wanted +
                                          " HTTP/1.1\\r\\n\\r\\n')\n"
                                          "print(s.recv(100).split(b'\\r\\n')[0].decode())\n"
                                          "sys.exit(1)"};
    return world.sable(std::move(words));
  };
  const auto refused = asked("allowed.invalid", "other.invalid:443");
  CHECK(contains(refused.out, "403 Forbidden"));
  CHECK(contains(refused.err, "sable: denied: "));
  CHECK(contains(refused.err, "other.invalid"));
  // Its name is looked up then, and nobody has that name.
  const auto looked_up = asked("allowed.invalid", "allowed.invalid:443");
  CHECK_FALSE(contains(looked_up.out, "403"));
  CHECK(contains(asked("", "allowed.invalid:443").out, "403 Forbidden"));
  const auto bad = world.sable({"sandbox", "run", "--network", "allow=not a host", "--", "true"});
  CHECK(bad.exit_code != 0);
  CHECK(contains(bad.err, "--network"));
}
