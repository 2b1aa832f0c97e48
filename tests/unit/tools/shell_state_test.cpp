// What one shell call leaves for the next, and what a program can do about it.
#include "tools/shell_state.h"

#include <catch2/catch.hpp>

#include "tests/support/contains.h"
#include "tests/unit/tools/tool_fixture.h"

using namespace sable;
namespace fs = std::filesystem;

namespace {

std::string shell(test::ToolFixture& at, const std::string& command) {
  return at.call("shell", {{"command", command}}).text;
}

}  // namespace

TEST_CASE("a shell call begins where the last one left off, with its exported variables") {
  test::ToolFixture at;
  fs::create_directories(at.folder / "sub/deep");
  CHECK(contains(shell(at, "cd sub && export WORD='two words\nand a line' && own=1"),
                 "[the next call begins in sub]\n"));
  const auto next = shell(at, "pwd; echo \"$WORD\"; echo \"own: $own\"; cd deep");
  CHECK(contains(next, (at.folder / "sub").string() + "\ntwo words\nand a line\nown: \n"));
  CHECK(contains(next, "[the next call begins in sub/deep]\n"));
  CHECK_FALSE(contains(shell(at, "true"), "the next call"));
  CHECK(contains(shell(at, "unset WORD; cd ../.."), "[the next call begins in .]\n"));
  CHECK(contains(shell(at, "echo \"word: $WORD\""), "word: \n"));
}

TEST_CASE("the state is kept whether a command line fails, exits or is not understood") {
  test::ToolFixture at;
  fs::create_directories(at.folder / "a/b");
  const auto left = at.call("shell", {{"command", "cd a; exit 7"}});
  CHECK(left.details["exit_code"] == 7);
  CHECK(contains(left.text, "begins in a]"));
  CHECK(contains(shell(at, "cd b; no-such-program; false"), "begins in a/b]"));
  const auto wrong = at.call("shell", {{"command", "if true"}});
  CHECK_FALSE(wrong.ok);
  CHECK(contains(wrong.text, "syntax error"));
  CHECK(contains(shell(at, "pwd"), "/a/b\n"));
  // Nobody is left to tell: what was known stays.
  CHECK(contains(at.call("shell", {{"command", "cd ..; kill -KILL $$"}}).text, "signal 9"));
  CHECK(contains(shell(at, "pwd"), "/a/b\n"));
}

TEST_CASE("a call that names its folder leaves the next one where it was") {
  test::ToolFixture at;
  fs::create_directories(at.folder / "a");
  fs::create_directories(at.folder / "b");
  shell(at, "cd a");
  CHECK(contains(at.call("shell", {{"command", "pwd"}, {"working_directory", "b"}}).text, "/b\n"));
  CHECK(contains(shell(at, "pwd"), "/a\n"));
}

TEST_CASE("a folder outside of the workspace, or one that is gone, is not where a call begins") {
  test::ToolFixture at;
  fs::create_directories(at.folder / "a");
  CHECK(contains(shell(at, "cd /usr"), "[/usr is outside of the workspace"));
  CHECK(contains(shell(at, "pwd"), at.folder.path().string() + "\n"));
  shell(at, "cd a");
  fs::remove(at.folder / "a");
  const auto gone = at.call("shell", {{"command", "touch made"}});
  CHECK_FALSE(gone.ok);
  CHECK(contains(gone.text, "cannot be entered any more"));
  CHECK_FALSE(fs::exists(at.folder / "made"));
  CHECK(at.call("shell", {{"command", "touch made"}}).ok);
  test::TemporaryFolder outside;
  shell(at, "mkdir b; cd b");
  fs::remove(at.folder / "b");
  fs::create_directory_symlink(outside.path(), at.folder / "b");
  CHECK_FALSE(at.call("shell", {{"command", "touch escaped"}}).ok);
  CHECK_FALSE(fs::exists(outside / "escaped"));
}

TEST_CASE("an environment too large to be kept is not, and that is said") {
  test::ToolFixture at;
  CHECK(contains(shell(at, "export BIG=$(head -c 70000 /dev/zero | tr '\\0' x)"),
                 "too many to be kept"));
  CHECK(contains(shell(at, "echo \"${#BIG}\""), "0\n"));
}

TEST_CASE("a state that could not be saved is not lost in silence") {
  test::SandboxedTools at;
  at.open({.limits = {.temporary_bytes = 1 << 20}});
  fs::create_directories(at.folder / "a/b");
  CHECK(at.call("shell", {{"command", "cd a; export WORD=kept"}}).ok);
  const auto full = at.call(
      "shell",
      {{"command", "dd if=/dev/zero of=/tmp/fill bs=64k 2>/dev/null; export WORD=lost; cd b"}});
  INFO(full.text);
  CHECK(contains(full.text, "could not be saved (/tmp is full"));
  CHECK(contains(full.text, "begins in a, with"));
  CHECK(contains(at.call("shell", {{"command", "pwd; echo \"$WORD\"; rm /tmp/fill"}}).text,
                 "/a\nkept\n"));
  const auto after = at.call("shell", {{"command", "cd b; export WORD=new"}}).text;
  CHECK(contains(after, "[the next call begins in a/b]"));
  // Room for its beginning alone: variables that are cut off must not be restored.
  const auto partial = at.call(
      "shell", {{"command",
                 "export BIG=$(head -c 20000 /dev/zero | tr '\\0' x) WORD=lost; "
                 "dd if=/dev/zero of=/tmp/fill bs=4k 2>/dev/null; truncate -s -8k /tmp/fill"}});
  CHECK(contains(partial.text, "could not be saved"));
  CHECK(contains(at.call("shell", {{"command", "echo \"$WORD ${#BIG}\""}}).text, "new 0\n"));
}

TEST_CASE("a command that replaces its shell is told that its folder does not last") {
  test::ToolFixture at;
  fs::create_directories(at.folder / "a");
  CHECK(contains(shell(at, "cd a; exec true"), "replaced or killed its shell"));
  CHECK(contains(shell(at, "pwd"), at.folder.path().string() + "\n"));
}

TEST_CASE("the state never shows in output, previews or byte counts") {
  test::ToolFixture at;
  const auto outcome = at.call("shell", {{"command", "echo hello"}});
  CHECK(outcome.text.starts_with("hello\n[exit code 0"));
  CHECK(at.preview == "hello\n");
  CHECK(outcome.details["stdout_bytes"] == 6);
  // A program that closes or redirects its output says nothing wrong either.
  CHECK(shell(at, "exec >file; echo into").starts_with("[no output]"));
  CHECK(at.folder.read("file") == "into\n");
  CHECK(shell(at, "exec >&-; cd /").starts_with("[no output]"));
}

TEST_CASE("a death by signal inside of the shell is named") {
  test::ToolFixture at;
  CHECK(contains(shell(at, "sh -c 'kill -SEGV $$'"), "exit code 139 (signal 11 (SIGSEGV"));
}

TEST_CASE("the mark is found wherever the output is cut, and only the last one counts") {
  const std::string mark = "0123456789abcdef", line = "\036" + mark + "\n";
  const std::string whole = "out\036put\036012" + line + "spoofed" + line + "/root\nexports";
  for (size_t cut = 0; cut <= whole.size(); ++cut) {
    tools::ShellOutput parted(mark);
    std::string output = parted.take(std::string_view(whole).substr(0, cut));
    output += parted.take(std::string_view(whole).substr(cut));
    output += parted.finish();
    REQUIRE(output == "out\036put\036012spoofed");
    REQUIRE(parted.has_state());
    REQUIRE(parted.state() == "/root\nexports");
    REQUIRE(parted.n_hidden() == whole.size() - output.size());
  }
  tools::ShellOutput without(mark);
  CHECK(without.take("abc\0360123") == "abc");
  CHECK(without.finish() == "\0360123");
  CHECK_FALSE(without.has_state());
  tools::ShellOutput flood(mark);
  std::string shown = flood.take(line);
  for (int i = 0; i < 100; ++i) shown += flood.take(std::string(10'000, 'x'));
  CHECK(shown.size() + flood.state().size() >= 990'000);
  CHECK(shown.size() > 500'000);
}
