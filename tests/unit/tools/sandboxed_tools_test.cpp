// The tools that run programs, in the real sandbox.
#include <filesystem>

#include <catch2/catch.hpp>

#include "base/file.h"
#include "tests/support/contains.h"
#include "tests/unit/tools/tool_fixture.h"

using namespace sable;
namespace fs = std::filesystem;

namespace {

/// A plain sandbox that tells of more than it saw.
class TellingSandbox : public test::PlainSandbox {
 public:
  explicit TellingSandbox(sandbox::RunResult told) : told_(std::move(told)) {}

  asio::awaitable<Result<sandbox::RunResult>> run(sandbox::Policy policy, sandbox::Command command,
                                                  sandbox::OutputSink output) override {
    auto ran = co_await PlainSandbox::run(std::move(policy), std::move(command), std::move(output));
    if (ran) {
      ran->denials = told_.denials;
      ran->network_decisions = told_.network_decisions;
      ran->network_decisions_left_out = told_.network_decisions_left_out;
    }
    co_return ran;
  }

 private:
  const sandbox::RunResult told_;
};

}  // namespace

TEST_CASE("what the proxy decided is in the details of the outcome, which the log keeps") {
  TellingSandbox sandbox(
      {.network_decisions = {{.host = "good.example",
                              .port = 443,
                              .allowed = true,
                              .address = "192.0.2.1",
                              .bytes_sent = 10,
                              .bytes_received = 2'000},
                             {.host = "bad.example", .port = 80, .reason = "not allowed"}},
       .network_decisions_left_out = 7});
  test::ToolFixture at;
  at.use(sandbox);
  const auto outcome = at.call("shell", {{"command", "true"}});
  REQUIRE(outcome.details.contains("network"));
  REQUIRE(outcome.details.contains("network_left_out"));
  CHECK(outcome.details["network"] == Json::array({{{"host", "good.example"},
                                                    {"port", 443},
                                                    {"allowed", true},
                                                    {"bytes_sent", 10},
                                                    {"bytes_received", 2'000},
                                                    {"address", "192.0.2.1"}},
                                                   {{"host", "bad.example"},
                                                    {"port", 80},
                                                    {"allowed", false},
                                                    {"bytes_sent", 0},
                                                    {"bytes_received", 0},
                                                    {"reason", "not allowed"}}}));
  CHECK(outcome.details["network_left_out"] == 7);
  test::ToolFixture other;
  const auto quiet = other.call("shell", {{"command", "true"}});
  CHECK_FALSE(quiet.details.contains("network"));
  CHECK_FALSE(quiet.details.contains("network_left_out"));
}

TEST_CASE("search says what the sandbox denied") {
  TellingSandbox sandbox({.denials = {"x may not be read"}});
  test::ToolFixture at;
  at.folder.write("f", "needle\n");
  at.use(sandbox);
  const std::string note = "[denied by the sandbox: x may not be read]\n";
  CHECK(at.call("search", {{"pattern", "needle"}}).text == "f:1:needle\n" + note);
  const auto failed = at.call("search", {{"pattern", "("}});
  CHECK_FALSE(failed.ok);
  CHECK(contains(failed.text, note));
}

TEST_CASE("shell changes the workspace and nothing else") {
  test::SandboxedTools at;
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

TEST_CASE("shell calls of one session share its private /tmp, and nobody else sees it") {
  test::SandboxedTools at, other;
  CHECK(at.call("shell", {{"command", "echo kept > /tmp/file"}}).ok);
  CHECK(contains(at.call("shell", {{"command", "cat /tmp/file"}}).text, "kept\n"));
  CHECK_FALSE(other.call("shell", {{"command", "cat /tmp/file"}}).ok);
  CHECK_FALSE(fs::exists("/tmp/file"));
}

TEST_CASE("shell stops what runs too long, with all that it started") {
  test::SandboxedTools at;
  const auto slow =
      at.call("shell", {{"command", "sleep 300 & sleep 300"}, {"timeout_seconds", 0.2}});
  CHECK_FALSE(slow.ok);
  CHECK(contains(slow.text, "its time was over"));
  CHECK(slow.details["end"] == "deadline");
  // The next call has the whole time of its policy again.
  CHECK(at.call("shell", {{"command", "sleep 0.4"}}).ok);
}

TEST_CASE("a hostile command is contained and explained, and the next call works") {
  test::SandboxedTools at;
  at.open({.limits = {.wall = std::chrono::seconds(3),
                      .grace = std::chrono::milliseconds(200),
                      .processes = 20,
                      .temporary_bytes = 1 << 20,
                      .output_bytes = 1 << 20}});
  const auto tried = [&](const std::string& command, const std::string& explanation) {
    INFO(command);
    const auto outcome = at.call("shell", {{"command", command}});
    INFO(outcome.text);
    CHECK_FALSE(outcome.ok);
    CHECK(contains(outcome.text, explanation));
    CHECK(at.call("shell", {{"command", "echo next"}}).text.starts_with("next\n[exit code 0"));
  };
  tried("trap '' TERM INT HUP; while :; do :; done", "its time was over");
  tried("(trap '' TERM; setsid sleep 60 &); trap '' TERM; sleep 60", "its time was over");
  tried("bomb() { bomb | bomb & bomb; }; bomb; sleep 60", "fork");
  tried("head -c 10M /dev/zero > /tmp/full", "No space left");
  tried("yes", "it printed more than allowed");
  const auto drawn = at.call(
      "shell",
      {{"command", "printf '\\033]0;title\\007\\033[2J\\033[1;1Hx\\010\\r\\302\\233y\\n'"}});
  for (const char control : {'\x1b', '\x07', '\x08', '\r'}) {
    CHECK(drawn.text.find(control) == std::string::npos);
  }
  CHECK_FALSE(contains(drawn.text, "\xc2\x9b"));
}

TEST_CASE("search finds files in a workspace that it cannot write") {
  test::SandboxedTools at;
  at.folder.write("src/a.cpp", "int needle;\n");
  CHECK(at.call("search", {{"pattern", "needle"}}).text == "src/a.cpp:1:int needle;\n");
  CHECK(at.call("search", {{"pattern", "needle"}, {"path", "src"}}).text ==
        "src/a.cpp:1:int needle;\n");
}

TEST_CASE("a YAML tool without effect sees the workspace read-only") {
  test::SandboxedTools at;
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
  test::SandboxedTools at;
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
