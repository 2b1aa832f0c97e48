// `sable run` as a person at a terminal sees it.
#include <catch2/catch.hpp>

#include "tests/e2e/world.h"
#include "tests/support/contains.h"
#include "tests/support/pseudo_terminal.h"

using namespace sable;
using namespace sable::test;

namespace {

constexpr const char* kQuestion = "[o]nce, [s]ession, [a]lways here, [n]o: ";

/// A world in which the shell and edits ask.
class AskingWorld : public World {
 public:
  AskingWorld() {
    folder().write("user/.config/sable/config.yaml",
                   "tools: {shell: {approval: ask}, edit_file: {approval: ask}}\n");
  }

  TerminalProgram::Options at_terminal(std::vector<std::string> further = {}) const {
    std::vector<std::string> argv{program(), "run", "do it", "--repo", repository().string()};
    const auto model = model_arguments();
    argv.insert(argv.end(), model.begin(), model.end());
    argv.insert(argv.end(), further.begin(), further.end());
    auto with_terminal = environment();
    with_terminal.push_back("TERM=xterm");
    return {.argv = std::move(argv),
            .environment = std::move(with_terminal),
            .working_directory = folder().path().string()};
  }

  bool made(const std::string& name) const { return std::filesystem::exists(repository() / name); }

  /// The decisions of the newest session, "allowed by person: once".
  std::vector<std::string> decisions() const {
    const auto sessions = sable({"session", "list", "--json"}).json_lines();
    if (sessions.empty()) return {};
    std::vector<std::string> made;
    const auto id = string_or(sessions.front(), "id", "");
    for (const auto& event : sable({"session", "events", id}).json_lines()) {
      if (string_or(event, "type", "") != "approval.decided") continue;
      const auto& data = event["data"];
      made.push_back(string_or(data, "decision", "") + " by " + string_or(data, "by", "") + ": " +
                     string_or(data, "reason", ""));
    }
    return made;
  }
};

Json shell(const std::string& command) { return tool_call("shell", {{"command", command}}); }

Json two_calls() {
  return Json::array({{{"tool_calls", Json::array({shell("touch one")})}},
                      {{"tool_calls", Json::array({shell("touch two")})}},
                      {{"text", "These are my last words."}}});
}

}  // namespace

TEST_CASE("at a terminal a tool that asks is asked about, and once is for one call") {
  AskingWorld world;
  world.play(two_calls());
  TerminalProgram at(world.at_terminal());
  REQUIRE(at.shows("▸ "));
  REQUIRE(at.shows("shell command=touch one"));
  REQUIRE(at.shows("command: touch one\n"));
  REQUIRE(at.shows(kQuestion));
  CHECK_FALSE(world.made("one"));
  at.type("o\n");
  REQUIRE(at.shows("command: touch two\n"));
  REQUIRE(at.shows(kQuestion));
  at.type("n\n");
  CHECK(at.shows("These are my last words."));
  CHECK(at.shows("finished"));
  CHECK(at.shows("2 tool calls"));
  CHECK(at.shows("tokens in"));
  CHECK(at.shows("files changed:\n  one"));
  CHECK(at.finish() == 0);
  INFO(at.screen());
  CHECK(world.made("one"));
  CHECK_FALSE(world.made("two"));
  CHECK(at.terminal_as_before());
}

TEST_CASE("yes for the session is asked for once, and is no yes for the next session") {
  AskingWorld world;
  world.play(two_calls());
  TerminalProgram at(world.at_terminal());
  REQUIRE(at.shows(kQuestion));
  at.type("session\n");
  CHECK(at.finish() == 0);
  INFO(at.screen());
  CHECK(world.made("two"));
  CHECK(at.screen().find("touch two\n" + std::string(kQuestion)) == std::string::npos);

  world.play(two_calls());
  TerminalProgram again(world.at_terminal());
  REQUIRE(again.shows(kQuestion));
  again.type("n\n");
  REQUIRE(again.shows(kQuestion));
  again.type("n\n");
  CHECK(again.finish() == 0);
}

TEST_CASE("always is for the next sessions in this repository too") {
  AskingWorld world;
  world.play(two_calls());
  TerminalProgram at(world.at_terminal());
  REQUIRE(at.shows(kQuestion));
  at.type("a\n");
  CHECK(at.finish() == 0);
  CHECK(world.made("two"));
  std::filesystem::remove(world.repository() / "two");
  const auto listed = world.sable({"tools", "list", "--repo", world.repository().string()});
  INFO(listed.out << listed.err);
  CHECK(contains(listed.out, "ask/always"));

  world.play(two_calls());
  TerminalProgram again(world.at_terminal());
  CHECK(again.finish() == 0);
  INFO(again.screen());
  CHECK(again.screen().find(kQuestion) == std::string::npos);
  CHECK(world.made("two"));
}

TEST_CASE("a person sees all of the call that they are asked about") {
  AskingWorld world;
  const std::string long_command =
      "touch made1; echo hello " + std::string(200, 'a') + "; rm -rf hidden_part\ntouch third";
  world.play(Json::array(
      {{{"tool_calls",
         Json::array({shell(long_command),
                      tool_call("edit_file", {{"path", "interval_set.cpp"},
                                              {"old_text", "interval.end > added.begin;"},
                                              {"new_text", "interval.end >= added.begin;"}})})}},
       {{"text", "These are my last words."}}}));
  TerminalProgram at(world.at_terminal());
  REQUIRE(at.shows("hidden_part\n    touch third\n"));
  REQUIRE(at.shows(kQuestion));
  at.type("n\n");
  REQUIRE(at.shows("\x1b[31m-interval.end > added.begin;\x1b[0m"));
  REQUIRE(at.shows("\x1b[32m+interval.end >= added.begin;\x1b[0m"));
  REQUIRE(at.shows(kQuestion));
  at.type("y\n");
  // What was done, as a diff of the file.
  REQUIRE(at.shows("\x1b[36m@@"));
  CHECK(at.shows("\x1b[32m+"));
  CHECK(at.finish() == 0);
}

TEST_CASE(
    "at a terminal what a command changed apart is shown as a diff, then applied or dropped") {
  AskingWorld world;
  world.folder().write("user/.config/sable/config.yaml", "sandbox: {files: transaction}\n");
  world.play(Json::array({{{"tool_calls", Json::array({shell("echo word > one")})}},
                          {{"tool_calls", Json::array({shell("echo word > two")})}},
                          {{"text", "These are my last words."}}}));
  TerminalProgram at(world.at_terminal());
  REQUIRE(at.shows("created one"));
  REQUIRE(at.shows("+word"));
  REQUIRE(at.shows("Apply what shell (exit code 0"));
  REQUIRE(at.shows("1 apply"));
  REQUIRE(at.shows("a number, or your own words"));
  CHECK_FALSE(world.made("one"));
  at.type("1\n");
  REQUIRE(at.shows("created two"));
  REQUIRE(at.shows("a number, or your own words"));
  CHECK(world.made("one"));
  at.type("2\n");
  CHECK(at.shows("These are my last words."));
  CHECK(at.finish() == 0);
  INFO(at.screen());
  CHECK_FALSE(world.made("two"));
}

TEST_CASE("Ctrl-C at the question ends the turn, and nothing is said twice or mixed up") {
  AskingWorld world;
  world.play(two_calls());
  TerminalProgram at(world.at_terminal());
  REQUIRE(at.shows(kQuestion));
  at.type("\x03");
  CHECK(at.finish() == 130);
  const std::string screen = at.screen();
  INFO(screen);
  CHECK_FALSE(world.made("one"));
  const std::string reason = "the user pressed Ctrl-C";
  const auto first = screen.find("interrupted\x1b[0m: " + reason + "\x1b");
  REQUIRE(first != std::string::npos);
  CHECK(screen.find(": " + reason, first + 20) == std::string::npos);
  CHECK(screen.find("may have had part of its effect") == std::string::npos);
  REQUIRE(world.decisions().size() == 1);
  CHECK(world.decisions()[0].starts_with("refused by person"));
  CHECK(at.terminal_as_before());
}
