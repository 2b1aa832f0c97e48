// The tools that run programs, in the real sandbox.
#include <filesystem>

#include <catch2/catch.hpp>

#include "base/child_process.h"
#include "base/file.h"
#include "tests/unit/tools/tool_fixture.h"

using namespace sable;
namespace fs = std::filesystem;

namespace {

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// A fixture whose commands run in a sandbox, as in the program.
class Sandboxed : public test::ToolFixture {
 public:
  Sandboxed() {
    auto started = sandbox::Sandbox::start(std::string(SABLE_BINARY_DIR) + "/sable-launcher");
    if (!started) FAIL(started.error().message);
    sandbox_ = std::move(*started);
    use(*sandbox_);
  }

 private:
  std::unique_ptr<sandbox::Sandbox> sandbox_;
};

}  // namespace

TEST_CASE("shell changes the workspace and nothing else") {
  Sandboxed at;
  test::TemporaryFolder outside;
  const auto inside = at.call("shell", {{"command", "echo hello > made && cat made"}});
  CHECK(inside.ok);
  CHECK(contains(inside.text, "hello\n[exit code 0"));
  CHECK(at.folder.read("made") == "hello\n");
  const auto escape =
      at.call("shell", {{"command", "echo x > " + (outside / "x").string() + "; echo y > /etc/y"}});
  CHECK_FALSE(escape.ok);
  CHECK_FALSE(fs::exists(outside / "x"));
  CHECK_FALSE(fs::exists("/etc/y"));
  CHECK_FALSE(at.call("shell", {{"command", "exec 3<>/dev/tcp/127.0.0.1/1"}}).ok);
  CHECK(contains(at.call("shell", {{"command", "pwd"}}).text, at.folder.path().string() + "\n"));
}

TEST_CASE("shell stops what runs too long, with all that it started") {
  Sandboxed at;
  const auto slow =
      at.call("shell", {{"command", "sleep 300 & sleep 300"}, {"timeout_seconds", 0.2}});
  CHECK_FALSE(slow.ok);
  CHECK(contains(slow.text, "its time was over"));
  CHECK(slow.details["end"] == "deadline");
}

TEST_CASE("search finds files in a workspace that it cannot write") {
  Sandboxed at;
  at.folder.write("src/a.cpp", "int needle;\n");
  CHECK(at.call("search", {{"pattern", "needle"}}).text == "src/a.cpp:1:int needle;\n");
  CHECK(at.call("search", {{"pattern", "needle"}, {"path", "src"}}).text ==
        "src/a.cpp:1:int needle;\n");
}

TEST_CASE("a YAML tool without effect sees the workspace read-only") {
  Sandboxed at;
  at.folder.write("f", "x");
  const std::string parameters = "    description: d\n    parameters: {type: object}\n";
  REQUIRE(
      at.registry.add_yaml("tools:\n  - name: reads\n" + parameters +
                               "    effect: none\n    run: {argv: [sh, -c, 'cat f; echo y > f']}\n"
                               "  - name: writes\n" +
                               parameters + "    run: {argv: [sh, -c, 'echo z > f']}\n",
                           "t.yaml"));
  CHECK_FALSE(at.call("reads", Json::object()).ok);
  CHECK(at.folder.read("f") == "x");
  CHECK(at.call("writes", Json::object()).ok);
  CHECK(at.folder.read("f") == "z\n");
}

TEST_CASE("the example tools for git work in the sandbox") {
  Sandboxed at;
  const auto text = read_file(fs::path(SABLE_SOURCE_DIR) / "configs/tools/git.yaml");
  REQUIRE(text);
  REQUIRE(at.registry.add_yaml(*text, "git.yaml"));
  const auto made = at.call("shell", {{"command",
                                       "git init -q . && git config user.email a@b.c && "
                                       "git config user.name N && echo one > f && git add f && "
                                       "git commit -qm first && echo two > f"}});
  if (!made.ok) {
    WARN("not run: " << made.text);  // git is not installed, or its settings are protected
    return;
  }
  const auto shown = at.call("git_show", Json::object());
  INFO(shown.text);
  CHECK(shown.ok);
  CHECK(contains(shown.text, "+one\n"));
  const auto blamed = at.call("git_blame", {{"path", "f"}});
  INFO(blamed.text);
  CHECK(contains(blamed.text, "two\n"));
  CHECK_FALSE(at.call("git_show", {{"commit", "--output=x"}}).ok);
}
