// The built-in tools as a model meets them: what they show, how they cut, what they say when it
// fails.
#include <filesystem>

#include <boost/asio/use_future.hpp>
#include <catch2/catch.hpp>

#include "base/text.h"
#include "tests/support/contains.h"
#include "tests/unit/tools/tool_fixture.h"

using namespace sable;
namespace fs = std::filesystem;

namespace {

std::string n_lines(int n) {
  std::string text;
  for (int i = 1; i <= n; ++i) text += "line " + std::to_string(i) + "\n";
  return text;
}

}  // namespace

TEST_CASE("the built-ins come in a fixed order, each with a description and an object schema") {
  const auto registry = tools::Registry::with_builtins();
  std::vector<std::string> names;
  for (const auto* definition : registry.list()) {
    names.push_back(definition->name);
    CHECK(definition->description.size() > 20);
    CHECK(definition->parameters["type"] == "object");
    CHECK(definition->approval == tools::Approval::allow);
    CHECK(definition->source == "built-in");
  }
  CHECK(names == std::vector<std::string>{"read_file", "list_files", "search", "edit_file",
                                          "write_file", "shell", "process_start", "process_read",
                                          "process_write", "process_stop", "apply_patch",
                                          "git_status", "git_diff", "git_log", "todo", "ask_user",
                                          "read_output"});
  CHECK(registry.find("search")->effect == tools::Effect::none);
  CHECK(registry.find("edit_file")->effect == tools::Effect::workspace);
  CHECK(registry.find("shell")->effect == tools::Effect::command);
  CHECK(registry.find("nothing") == nullptr);
}

TEST_CASE("tools can be narrowed and their approval changed; unknown names are told the nearest") {
  auto registry = tools::Registry::with_builtins();
  REQUIRE(registry.set_approval("shell", tools::Approval::ask));
  CHECK(registry.find("shell")->approval == tools::Approval::ask);
  const auto unknown = registry.keep_only({"read_file", "serch"});
  REQUIRE_FALSE(unknown);
  CHECK(contains(unknown.error().message, "did you mean \"search\"?"));
  CHECK(registry.list().size() == 17);
  REQUIRE(registry.keep_only({"shell", "read_file"}));
  REQUIRE(registry.list().size() == 2);
  CHECK(registry.list()[0]->name == "read_file");
}

TEST_CASE("a wrong call is answered with pointer, expected, got and the schema's fragment") {
  const auto registry = tools::Registry::with_builtins();
  const auto check = [&](const std::string& name, Json arguments) {
    const auto result =
        registry.check({.id = "c", .name = name, .arguments = std::move(arguments)});
    return result ? std::string() : result.error().message;
  };
  CHECK(check("read_file", {{"path", "a"}}).empty());
  const auto wrong = check("read_file", {{"path", "a"}, {"start_line", "12"}});
  CHECK(contains(wrong, "at /start_line: expected an integer, got a string: \"12\""));
  CHECK(contains(wrong, "schema /properties/start_line: {\"type\":\"integer\""));
  CHECK(contains(check("read_file", Json::object()), "the property \"path\""));
  CHECK(contains(check("read_file", {{"path", "a"}, {"strat_line", 1}}),
                 "did you mean \"start_line\"?"));
  CHECK(contains(check("read_file", Json::array()), "must be one JSON object"));
  CHECK(contains(check("reed_file", Json::object()), "did you mean \"read_file\"?"));
  CHECK(contains(check("frobnicate", Json::object()), "the tools are read_file, list_files"));
}

TEST_CASE("what a loop has no time for is done on a worker, with the same answers") {
  test::ToolFixture at;
  REQUIRE(at.registry.set_approval("shell", tools::Approval::ask));
  asio::thread_pool workers(1);
  const auto wait_for = [](auto work) {
    asio::io_context loop;
    auto done = asio::co_spawn(loop, std::move(work), asio::use_future);
    loop.run();
    return done.get();
  };
  const auto admitted = wait_for(at.registry.admit({"c", "shell", {{"command", "ls"}}}, workers));
  REQUIRE(admitted);
  CHECK(*admitted == tools::Approval::ask);
  const tools::Call wrong{"c", "shell", {{"comand", "ls"}}};
  const auto refused = wait_for(at.registry.admit(wrong, workers));
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == at.registry.check(wrong).error());
  CHECK_FALSE(wait_for(at.registry.admit({"c", "nothing", Json::object()}, workers)));
  const auto opened = wait_for(tools::Workspace::open_on(workers, at.folder.path(), {}));
  REQUIRE(opened);
  CHECK((*opened)->root() == at.workspace().root());
  CHECK_FALSE(wait_for(tools::Workspace::open_on(workers, at.folder / "nowhere", {})));
  const auto written = at.call("write_file", {{"path", "f"}, {"content", "x\n"}});
  REQUIRE(written.changes.size() == 1);
  CHECK(written.changes[0].diff == tools::unified_diff(written.changes[0]));
  CHECK(contains(written.changes[0].diff, "+x"));
}

TEST_CASE("read_file shows numbered lines and says how to go on") {
  test::ToolFixture at;
  at.folder.write("f", "a\nb\n");
  CHECK(at.call("read_file", {{"path", "f"}}).text == "     1\ta\n     2\tb\n");
  at.folder.write("long", n_lines(3000));
  const auto first = at.call("read_file", {{"path", "long"}});
  CHECK(contains(first.text,
                 "  2000\tline 2000\n[lines 1-2000 of 3000 lines; go on with start_line=2001]"));
  const auto rest = at.call("read_file", {{"path", "long"}, {"start_line", 2999}});
  CHECK(rest.text ==
        "  2999\tline 2999\n  3000\tline 3000\n[lines 2999-3000, the end of the file]\n");
  const auto range = at.call("read_file", {{"path", "long"}, {"start_line", 2}, {"end_line", 3}});
  CHECK(range.text ==
        "     2\tline 2\n     3\tline 3\n[lines 2-3 of 3000 lines; go on with start_line=4]\n");
  CHECK(contains(at.call("read_file", {{"path", "long"}, {"start_line", 9999}}).text,
                 "nothing in this range: the file has 3000 lines"));
  CHECK_FALSE(at.call("read_file", {{"path", "f"}, {"start_line", 3}, {"end_line", 2}}).ok);
}

TEST_CASE("read_file tells about line ends, missing newlines, emptiness and encodings") {
  test::ToolFixture at;
  at.folder.write("crlf", "a\r\nb\r\n");
  CHECK(at.call("read_file", {{"path", "crlf"}}).text ==
        "     1\ta\n     2\tb\n[lines end in CR LF, which edit_file keeps]\n");
  at.folder.write("open", "a\nb");
  CHECK(contains(at.call("read_file", {{"path", "open"}}).text, "no newline at the end"));
  at.folder.write("empty", "");
  CHECK(at.call("read_file", {{"path", "empty"}}).text == "[the file is empty]\n");
  at.folder.write("latin", "caf\xE9\n");
  const auto latin = at.call("read_file", {{"path", "latin"}});
  CHECK(contains(latin.text, "not UTF-8"));
  CHECK(is_utf8(latin.text));
  at.folder.write("utf8", std::string(65535, 'x') + "\xC3\xA9\n");  // a code point across two reads
  CHECK_FALSE(contains(at.call("read_file", {{"path", "utf8"}}).text, "not UTF-8"));
  at.folder.write("controls", "a\x1b[31mb\x07\n");
  CHECK(at.call("read_file", {{"path", "controls"}}).text == "     1\ta\\x1b[31mb\\x07\n");
}

TEST_CASE("read_file shows binary files as bytes and cuts long lines") {
  test::ToolFixture at;
  at.folder.write("bin", std::string("\x7f"
                                     "ELF\0\1",
                                     6));
  const auto binary = at.call("read_file", {{"path", "bin"}});
  CHECK(binary.ok);
  CHECK(contains(binary.text, "7f 45 4c 46 00 01"));
  CHECK(binary.details["binary"] == true);
  at.folder.write("line", std::string(1'000'000, 'x') + "\nend\n");
  const auto cut = at.call("read_file", {{"path", "line"}});
  CHECK(contains(cut.text, "[... 998000 more bytes in this line]\n     2\tend\n"));
  CHECK(cut.text.size() < 5000);
}

TEST_CASE("a file that is not there is told a similar name") {
  test::ToolFixture at;
  at.folder.write("src/main.cpp", "x");
  CHECK(contains(at.call("read_file", {{"path", "src/mian.cpp"}}).text,
                 "did you mean src/main.cpp?"));
  CHECK(contains(at.call("read_file", {{"path", "zzz/x"}}).text, "list_files"));
  CHECK(contains(at.call("read_file", {{"path", "src"}}).text, "a folder; use list_files"));
}

TEST_CASE("list_files is sorted, leaves out what is ignored and shows what was not entered") {
  test::ToolFixture at;
  at.folder.write(".gitignore", "build/\n*.o\n!keep.o\n/only-root\n");
  at.folder.write("src/b.cpp", "");
  at.folder.write("src/a.cpp", "");
  at.folder.write("src/a.o", "");
  at.folder.write("src/keep.o", "");
  at.folder.write("src/only-root", "");
  at.folder.write("only-root", "");
  at.folder.write("build/x", "");
  at.folder.write("a/b/c/d/e", "");
  at.folder.write(".git/config", "");
  fs::create_symlink("src", at.folder / "link");
  const auto listed = at.call("list_files", Json::object());
  CHECK(listed.text ==
        ".gitignore\na/\na/b/\na/b/c/ ...\nlink -> src\nsrc/\nsrc/a.cpp\nsrc/b.cpp\nsrc/keep.o\n"
        "src/only-root\n[3 paths that .gitignore names left out; include_ignored shows them]\n");
  CHECK(at.call("list_files", {{"path", "src"}, {"pattern", "*.cpp"}}).text ==
        "src/a.cpp\nsrc/b.cpp\n[1 path that .gitignore names left out; include_ignored shows "
        "them]\n");
  CHECK(at.call("list_files", {{"pattern", "a/**/e"}, {"include_ignored", true}}).text ==
        "a/b/c/d/e\n");
  CHECK(contains(at.call("list_files", {{"include_ignored", true}}).text, "build/x\n"));
  CHECK(contains(at.call("list_files", {{"path", "scr"}}).text, "did you mean src?"));
}

TEST_CASE("list_files cuts a large tree and keeps the upper levels") {
  test::ToolFixture at;
  for (int i = 0; i < 600; ++i) at.folder.write("a/f" + std::to_string(i), "");
  at.folder.write("z/last", "");
  const auto listed = at.call("list_files", Json::object());
  CHECK(contains(listed.text, "\nz/\n"));
  CHECK(contains(listed.text, "[cut: the first 500 entries"));
  CHECK(listed.details["cut"] == true);
}

TEST_CASE("write_file creates files and replaces only what was read and is still the same") {
  test::ToolFixture at;
  const auto created = at.call("write_file", {{"path", "new/f"}, {"content", "a\nb\n"}});
  CHECK(created.ok);
  CHECK(created.text == "Created new/f: 2 lines, 4 bytes\n");
  REQUIRE(created.changes.size() == 1);
  CHECK_FALSE(created.changes[0].before);
  CHECK(at.call("write_file", {{"path", "new/f"}, {"content", "c\n"}}).ok);  // our own file

  at.folder.write("theirs", "x\n");
  const auto unread = at.call("write_file", {{"path", "theirs"}, {"content", "y\n"}});
  CHECK_FALSE(unread.ok);
  CHECK(contains(unread.text, "read it with read_file first"));
  CHECK(at.call("read_file", {{"path", "theirs"}, {"end_line", 1}}).ok);
  at.folder.write("theirs", "z\n");
  const auto changed = at.call("write_file", {{"path", "theirs"}, {"content", "y\n"}});
  CHECK_FALSE(changed.ok);
  CHECK(contains(changed.text, "changed by somebody else"));
  CHECK(at.folder.read("theirs") == "z\n");
  CHECK(at.call("read_file", {{"path", "theirs"}}).ok);
  const auto replaced = at.call("write_file", {{"path", "theirs"}, {"content", "y\n"}});
  CHECK(replaced.ok);
  CHECK(replaced.changes.at(0).before == "z\n");
  CHECK(at.call("write_file", {{"path", "theirs"}, {"content", "y\n"}}).changes.empty());
  CHECK_FALSE(at.call("write_file", {{"path", ".git/hooks/pre-commit"}, {"content", "x"}}).ok);
}

TEST_CASE("search shows path, line and text, in order") {
  test::ToolFixture at;
  at.folder.write("b.txt", "one\nneedle two\nthree\n");
  at.folder.write("a.txt", "needle\r\n");
  at.folder.write("bin", std::string("needle\0", 7));
  const auto found = at.call("search", {{"pattern", "needle"}});
  CHECK(found.ok);
  CHECK(found.text == "a.txt:1:needle\nb.txt:2:needle two\n");
  CHECK(found.details["matches"] == 2);
  CHECK(at.call("search", {{"pattern", "needle"}, {"path", "b.txt"}, {"context", 1}}).text ==
        "b.txt-1-one\nb.txt:2:needle two\nb.txt-3-three\n");
  CHECK(at.call("search", {{"pattern", "needle"}, {"glob", "a*"}}).text == "a.txt:1:needle\n");
  CHECK(contains(at.call("search", {{"pattern", "absent"}}).text, "no match in ."));
}

TEST_CASE("search takes every pattern as a pattern and every path as a path") {
  test::ToolFixture at;
  at.folder.write("-e", "--files\n");
  at.folder.write("f", "a(b\n");
  CHECK(contains(at.call("search", {{"pattern", "--files"}}).text, "-e:1:--files\n"));
  CHECK(
      contains(at.call("search", {{"pattern", "--files"}, {"path", "-e"}}).text, "-e:1:--files\n"));
  const auto broken = at.call("search", {{"pattern", "a(b"}});
  CHECK_FALSE(broken.ok);
  CHECK(contains(broken.text, "set literal"));
  CHECK(at.call("search", {{"pattern", "a(b"}, {"literal", true}}).text == "f:1:a(b\n");
  CHECK_FALSE(at.call("search", {{"pattern", "x"}, {"path", "../"}}).ok);
}

TEST_CASE("search is cut at its number of results and long lines") {
  test::ToolFixture at;
  at.folder.write("f", n_lines(300) + "line " + std::string(5000, 'x') + "\n");
  const auto found = at.call("search", {{"pattern", "line"}, {"max_results", 3}});
  CHECK(contains(found.text, "f:3:line 3\n[cut: 3 of more matches shown"));
  const auto long_line = at.call("search", {{"pattern", "xxx"}});
  CHECK(long_line.text.size() < 400);
}

TEST_CASE("shell shows output and how the command ended") {
  test::ToolFixture at;
  const auto good = at.call("shell", {{"command", "echo out; echo err >&2; exit 3"}});
  CHECK_FALSE(good.ok);
  CHECK(contains(good.text, "out\n"));
  CHECK(contains(good.text, "err\n"));
  CHECK(contains(good.text, "[exit code 3;"));
  CHECK(good.details["exit_code"] == 3);
  CHECK(
      contains(at.call("shell", {{"command", "no-such-program-here"}}).text, "command not found"));
  CHECK(contains(at.call("shell", {{"command", "kill -SEGV $$"}}).text, "signal 11 (SIGSEGV"));
  CHECK(contains(at.call("shell", {{"command", "true"}}).text, "[no output]\n[exit code 0"));
}

TEST_CASE("shell stops at the asked time and says what to do") {
  test::ToolFixture at;
  const auto slow = at.call("shell", {{"command", "sleep 10"}, {"timeout_seconds", 0.05}});
  CHECK_FALSE(slow.ok);
  CHECK(contains(slow.text, "its time was over"));
  CHECK(contains(slow.text, "timeout_seconds up to 120"));
  CHECK(slow.details["end"] == "deadline");
}

TEST_CASE("shell runs in the folder asked for, which must be in the workspace") {
  test::ToolFixture at;
  at.folder.write("sub/f", "");
  CHECK(contains(at.call("shell", {{"command", "ls"}, {"working_directory", "sub"}}).text, "f\n"));
  CHECK_FALSE(at.call("shell", {{"command", "ls"}, {"working_directory", "/etc"}}).ok);
  CHECK_FALSE(at.call("shell", {{"command", "ls"}, {"working_directory", "nope"}}).ok);
}

TEST_CASE("long output is cut in the middle and given whole for storing") {
  test::ToolFixture at;
  const auto cut = at.call("shell", {{"command", "seq 1 100000"}});
  CHECK(cut.ok);
  CHECK(cut.text.starts_with("1\n2\n3\n"));
  CHECK(contains(cut.text, "\n100000\n[exit code 0"));
  CHECK(contains(cut.text, "left out here"));
  CHECK(cut.text.size() < 40'000);
  CHECK(cut.full_output.size() == 588'895);
  CHECK(cut.details["cut"] == true);
  CHECK(at.call("shell", {{"command", "seq 1 10"}}).full_output.empty());
}

TEST_CASE("output is made inert: colours go, other controls show, bytes are bytes") {
  test::ToolFixture at;
  const auto colour =
      at.call("shell", {{"command", "printf '\\033[31mred\\033[0m \\033]0;t\\007 a\\r\\nb'"}});
  CHECK(contains(colour.text, "red \\x1b]0;t\\x07 a\nb\n["));
  CHECK(contains(at.preview, "red \\x1b]0;t\\x07 a\nb"));
  const auto bytes = at.call("shell", {{"command", "printf 'a\\000b'"}});
  CHECK(contains(bytes.text, "3 bytes that are not text"));
  CHECK(contains(bytes.text, "61 00 62"));
  CHECK(is_utf8(at.call("shell", {{"command", "printf '\\377\\376x'"}}).text));
}
