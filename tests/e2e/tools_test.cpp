// Tools that need a session: what runs in the background, what is kept, who is asked, and files of
// tools that change under a running server.
#include <algorithm>
#include <fstream>

#include <catch2/catch.hpp>

#include "base/digest.h"
#include "tests/e2e/front_end.h"
#include "tests/support/contains.h"

using namespace sable;
using namespace sable::test;
namespace fs = std::filesystem;

namespace {

Json one_call(const std::string& name, const Json& arguments) {
  return {{"tool_calls", Json::array({tool_call(name, arguments)})}};
}

/// The same, if the last result holds this text.
Json after(const std::string& text, Json reply) {
  reply["expect"] = {{"last_contains", Json::array({text})}};
  return reply;
}

Json answer(const std::string& text) { return {{"text", text}}; }

std::string last_session(const World& world) {
  const auto sessions = world.sable({"session", "list", "--json"}).json_lines();
  return sessions.empty() ? "" : string_or(sessions[0], "id", "");
}

std::vector<Json> log_of(const World& world) {
  return world.sable({"session", "events", last_session(world)}).json_lines();
}

int processes_with(const std::string& marker) {
  int n = 0;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "cmdline");
    const std::string line((std::istreambuf_iterator<char>(file)), {});
    n += contains(line, marker) ? 1 : 0;
  }
  return n;
}

/// One call by hand in the repository.
Finished by_hand(const World& world, const std::string& tool, const Json& arguments) {
  return world.sable({"tools", "call", tool, "--args", dump_json(arguments), "--repo",
                      world.repository().string()});
}

/// What commands change in this world is kept apart, as the user wants it.
void keep_apart(const World& world) {
  world.folder().write("user/.config/sable/config.yaml", "sandbox: {files: transaction}\n");
}

std::string yaml_tool(const std::string& name, const std::string& word) {
  return "tools:\n  - name: " + name + "\n    description: says " + word +
         "\n    parameters: {type: object, properties: {}, additionalProperties: false}\n"
         "    run: {argv: [echo, " +
         word + "]}\n";
}

}  // namespace

TEST_CASE("a model talks to a program in the background, which ends with the session") {
  World world;
  const std::string marker = "4444.0" + std::to_string(::getpid());
  auto& model = world.play(Json::array(
      {one_call("process_start", {{"command", "sleep " + marker + " & cat"}, {"wait_seconds", 0}}),
       after("[p1 runs]", one_call("process_write", {{"process", "p1"},
                                                     {"text", "ping\n"},
                                                     {"wait_seconds", 20},
                                                     {"wait_for", "ping"}})),
       after("ping\n[p1 runs]", one_call("shell", {{"command", "echo beside"}})),
       after("beside", answer("It answers."))}));
  const auto ran = world.run("x", {"--json"});
  INFO(ran.err);
  CHECK(ran.exit_code == 0);
  CHECK(model.complaints().empty());
  CHECK(processes_with(marker) == 0);
}

TEST_CASE("todos go into the log with the call's outcome, and outlive the process") {
  World world;
  auto& model = world.play(Json::array(
      {one_call("todo",
                {{"goal", "ship it"},
                 {"items", Json::array({{{"id", "1"}, {"text", "build"}},
                                        {{"id", "1.1"}, {"text", "link"}, {"parent", "1"}}})}}),
       after("link",
             one_call("todo", {{"items", Json::array({{{"id", "1.1"}, {"status", "done"}}})}})),
       after("nothing was changed",
             one_call("todo", {{"items", Json::array({{{"id", "1.1"},
                                                       {"status", "done"},
                                                       {"evidence", "ld says 0"}}})}})),
       after("ld says 0", answer("Noted."))}));
  const auto ran = world.run("x", {"--json"});
  INFO(ran.err);
  REQUIRE(ran.exit_code == 0);
  CHECK(model.complaints().empty());
  const auto events = ran.json_lines();
  CHECK(
      data_of(events, "task.goal") ==
      std::vector<Json>{{{"text", "x"}}, {{"text", "ship it"}}});  // the prompt, then a better one
  const auto todos = data_of(events, "task.todo");
  REQUIRE(todos.size() == 3);  // the refused change left none
  CHECK(todos[2]["status"] == "done");
  const auto types = types_of(events);
  const auto prompt = std::find(types.begin(), types.end(), "task.goal");
  const auto goal = std::find(prompt + 1, types.end(), "task.goal");
  CHECK(std::vector<std::string>(goal, goal + 4) ==
        std::vector<std::string>{"task.goal", "task.todo", "task.todo", "tool.outcome"});

  auto& later = world.play(
      Json::array({one_call("todo", Json::object()), after("ship it", answer("I remember."))}));
  const auto id = string_or(events.front(), "session", "");
  CHECK(world.run("what was it?", {"--resume", id}).exit_code == 0);
  CHECK(later.complaints().empty());
}

TEST_CASE("where nobody can be asked, a question is refused and the model is told") {
  World world;
  auto& model = world.play(Json::array({one_call("ask_user", {{"question", "red or blue?"}}),
                                        after("nobody can be asked", answer("Blue, then."))}));
  const auto ran = world.run("x", {"--json"});
  CHECK(ran.exit_code == 0);
  CHECK(model.complaints().empty());
  CHECK(data_of(ran.json_lines(), "tool.outcome").at(0)["status"] == "failed");
}

TEST_CASE("a question goes to the front end as a choice, and the answer to the model") {
  World world;
  const Json question{{"question", "red or blue?"}, {"choices", Json::array({"red", "blue"})}};
  auto& model =
      world.play(Json::array({one_call("ask_user", question),
                              // What cannot be chosen from cannot be asked over this protocol.
                              after("blue", one_call("ask_user", {{"question", "open?"}})),
                              after("nobody answered", answer("So be it."))}));
  Serving serving(world);
  FrontEnd client = serving.connect();
  const auto id = client.begin(world.repository());
  client.choice = "choice_2";
  size_t n_asked = 0;
  const auto answered = client.prompt(id, "x");
  for (const auto& message : client.seen) {
    if (string_or(message, "method", "") != "session/request_permission") continue;
    ++n_asked;
    CHECK(message["params"]["toolCall"]["title"] == "red or blue?");
    REQUIRE(message["params"]["options"].size() == 3);
    CHECK(message["params"]["options"][1]["name"] == "blue");
  }
  CHECK(n_asked == 1);
  CHECK(answered["result"]["stopReason"] == "end_turn");
  CHECK(model.complaints().empty());
  CHECK(serving.stop().exit_code == 143);
}

TEST_CASE("changes that are kept apart go to the front end as a diff, and its answer decides") {
  World world;
  keep_apart(world);
  auto& model = world.play(
      Json::array({one_call("shell", {{"command", "echo new > made.txt"}}),
                   after("dropped", one_call("shell", {{"command", "echo new > made.txt"}})),
                   after("then applied as a whole", answer("Made."))}));
  Serving serving(world);
  FrontEnd client = serving.connect();
  const auto id = client.begin(world.repository());
  const auto made = world.repository() / "made.txt";
  size_t n_asked = 0;
  client.on_question = [&](const Json& message) {
    CHECK_FALSE(fs::exists(made));
    client.choice = ++n_asked == 1 ? "choice_2" : "choice_1";
    const auto& call = message["params"]["toolCall"];
    CHECK(contains(string_or(call, "title", ""), "Apply what shell (exit code 0"));
    CHECK(contains(dump_json(call["content"]), "created made.txt"));
    CHECK(contains(dump_json(call["content"]), "+new"));
    CHECK(message["params"]["options"][0]["name"] == "apply");
    CHECK(message["params"]["options"][1]["name"] == "drop");
  };
  const auto answered = client.prompt(id, "x");
  CHECK(n_asked == 2);
  CHECK(answered["result"]["stopReason"] == "end_turn");
  CHECK(model.complaints().empty());
  CHECK(world.folder().read("repository/made.txt") == "new\n");
  CHECK(serving.stop().exit_code == 143);
  const auto outcomes = data_of(log_of(world), "tool.outcome");
  REQUIRE(outcomes.size() == 2);
  CHECK(outcomes[0]["changes"].empty());
  REQUIRE(outcomes[1]["changes"].size() == 1);
  CHECK(outcomes[1]["changes"][0]["path"] == "made.txt");
}

TEST_CASE("killed while changes that are kept apart are asked about, nothing of them is there") {
  World world;
  keep_apart(world);
  world.play(Json::array({one_call("shell", {{"command", "echo new > made.txt"}})}));
  const auto made = world.repository() / "made.txt";
  const auto stores = world.home() / "transactions";
  {
    Serving serving(world);
    FrontEnd client = serving.connect();
    const auto id = client.begin(world.repository());
    bool asked = false;
    client.on_question = [&](const Json&) {
      asked = true;
      CHECK_FALSE(fs::exists(made));
      CHECK_FALSE(fs::is_empty(stores));
      serving.kill();
    };
    CHECK_THROWS(client.prompt(id, "x"));  // nobody answers any more
    CHECK(asked);
  }
  CHECK_FALSE(fs::exists(made));
  // What had begun to be applied when somebody was killed is applied.
  const std::string begun = "home/transactions/begun/0";
  const Json state{
      {"version", 1}, {"root", world.repository().string()}, {"since_ns", 0}, {"applying", true}};
  world.folder().write(begun + "/state", dump_json(state));
  world.folder().write(begun + "/upper/finished", "x");
  fs::create_directories(world.folder() / (begun + "/work"));
  world.play(Json::array({answer("So.")}));
  const auto ran = world.run("and?", {"--resume", last_session(world)});
  INFO(ran.err);
  CHECK(ran.exit_code == 0);
  CHECK(data_of(log_of(world), "tool.outcome").at(0)["status"] == "unknown");
  CHECK(world.folder().read("repository/finished") == "x");
  CHECK_FALSE(fs::exists(made));
  CHECK(fs::is_empty(stores));
}

TEST_CASE("a tool that keeps its changes apart asks by hand as sandbox run does") {
  World world;
  world.folder().write(
      "user/.config/sable/tools/t.yaml",
      "tools:\n  - name: make\n    description: d\n"
      "    parameters: {type: object, properties: {code: {type: integer}}}\n"
      "    run: {argv: [sh, -c, 'echo new > made.txt; exit $1', sh, [\"{code}\"]]}\n"
      "    sandbox: {files: transaction}\n");
  const auto made = world.repository() / "made.txt";
  const auto call = [&](std::vector<std::string> options, const std::string& arguments = "{}") {
    std::vector<std::string> words = {
        "tools", "call", "make", "--repo", world.repository().string(), "--args", arguments};
    words.insert(words.end(), options.begin(), options.end());
    return world.sable(std::move(words));
  };
  const auto unasked = call({});
  CHECK(unasked.exit_code == 1);
  CHECK(contains(unasked.err, "created " + made.string()));
  CHECK(contains(unasked.err, "+new\n"));
  CHECK(contains(unasked.out, "--apply yes"));
  CHECK(call({"--apply", "no"}).exit_code == 1);
  CHECK(call({"--apply", "yes"}, R"({"code": 3})").exit_code == 1);
  CHECK_FALSE(fs::exists(made));
  const auto applied = call({"--apply", "yes"});
  INFO(applied.err);
  CHECK(applied.exit_code == 0);
  CHECK(world.folder().read("repository/made.txt") == "new\n");
  CHECK(fs::is_empty(world.home() / "transactions"));
  CHECK(contains(call({"--no-sandbox"}).err, "keeps changes apart, which only the sandbox can"));
}

TEST_CASE("output that is too long is kept whole, and the model reads any part of it") {
  World world;
  std::string whole;
  for (int i = 1; i <= 50000; ++i) whole += std::to_string(i) + "\n";
  const std::string id = to_hex(sha256(whole)).substr(0, 12);
  auto& model = world.play(Json::array(
      {one_call("shell", {{"command", "seq 50000"}}),
       after("read_output \"" + id + "\"",
             one_call("read_output", {{"output", id}, {"start_line", 24999}, {"end_line", 25000}})),
       after("25000\t25000\n", one_call("read_output", {{"output", "ffffffffffff"}})),
       after("there are: " + id, answer("Seen."))}));
  const auto ran = world.run("x", {"--json"});
  INFO(ran.err);
  CHECK(ran.exit_code == 0);
  CHECK(model.complaints().empty());
  // An agent that is not offered read_output is not told of it.
  const auto user =
      world.folder().write("user/.config/sable/agents/plain.yaml",
                           "name: plain\ndescription: d\nsystem_prompt: Work.\ntools: [shell]\n");
  auto& plain = world.play(Json::array(
      {one_call("shell", {{"command", "seq 50000"}}),
       Json{{"text", "Seen."}, {"expect", {{"lacks", Json::array({"read_output"})}}}}}));
  const auto second = world.run("x", {"--agent", "plain"});
  INFO(second.err);
  CHECK(second.exit_code == 0);
  CHECK(plain.complaints().empty());
}

TEST_CASE("a user's tools are read again before each turn, and broken ones change nothing") {
  World world;
  const std::string file = "user/.config/sable/tools/say.yaml";
  world.folder().write(file, yaml_tool("say", "before"));
  auto& model = world.play(
      Json::array({one_call("say", Json::object()), after("before", answer("One.")),
                   one_call("say", Json::object()), after("after", answer("Two.")),
                   one_call("say", Json::object()), after("after", answer("Three.")),
                   one_call("say", Json::object()), after("there is no tool", answer("Four."))}));
  Serving serving(world);
  FrontEnd client = serving.connect();
  const auto id = client.begin(world.repository());
  client.prompt(id, "one");
  world.folder().write(file, yaml_tool("say", "after"));
  client.prompt(id, "two");
  world.folder().write(file, "tools:\n  - nome: say\n");
  client.prompt(id, "three");
  fs::remove(world.folder() / file);
  client.prompt(id, "four");
  CHECK(model.complaints().empty());
  CHECK(serving.stop().exit_code == 143);

  const auto changes = data_of(log_of(world), "tools.changed");
  REQUIRE(changes.size() == 3);
  CHECK(contains(dump_json(changes[0]["tools"]), "says after"));
  CHECK(changes[0]["notice"] == "");
  CHECK(contains(changes[1]["notice"].get<std::string>(), "say.yaml:2:5"));
  CHECK(changes[1]["tools"] == changes[0]["tools"]);
  CHECK_FALSE(contains(dump_json(changes[2]["tools"]), "says after"));
}

TEST_CASE("a repository's tool file that changes is not used until it is trusted again") {
  World world;
  const std::string file = "repository/.sable/tools/say.yaml";
  world.folder().write(file, yaml_tool("say", "before"));
  const auto trust = [&] {
    return world.sable({"trust", "--repo", world.repository().string()}).exit_code;
  };
  REQUIRE(trust() == 0);
  auto& model = world.play(
      Json::array({one_call("say", Json::object()), after("before", answer("One.")),
                   one_call("say", Json::object()), after("there is no tool", answer("Two.")),
                   one_call("say", Json::object()), after("after", answer("Three."))}));
  Serving serving(world);
  FrontEnd client = serving.connect();
  const auto id = client.begin(world.repository());
  client.prompt(id, "one");
  world.folder().write(file, yaml_tool("say", "after"));
  client.prompt(id, "two");
  REQUIRE(trust() == 0);
  client.prompt(id, "three");
  CHECK(model.complaints().empty());
  CHECK(serving.stop().exit_code == 143);
  const auto changes = data_of(log_of(world), "tools.changed");
  REQUIRE(changes.size() == 2);
  CHECK(contains(changes[0]["notice"].get<std::string>(), "sable trust"));
  CHECK(changes[1]["notice"] == "");
}

TEST_CASE("patches and the history of a repository, by hand") {
  World world;
  const auto patch = "*** Begin Patch\n*** Add File: notes/a.txt\n+one\n+two\n*** End Patch\n";
  const auto added = by_hand(world, "apply_patch", {{"patch", patch}});
  INFO(added.err);
  CHECK(added.exit_code == 0);
  CHECK(contains(added.out, "+one\n"));
  CHECK(world.folder().read("repository/notes/a.txt") == "one\ntwo\n");
  const auto unified = by_hand(
      world, "apply_patch",
      {{"patch", "--- a/notes/a.txt\n+++ b/notes/a.txt\n@@ -1,2 +1,2 @@\n one\n-two\n+zwei\n"}});
  CHECK(unified.exit_code == 0);
  CHECK(world.folder().read("repository/notes/a.txt") == "one\nzwei\n");
  const auto wrong =
      by_hand(world, "apply_patch",
              {{"patch", "--- a/notes/a.txt\n+++ b/notes/a.txt\n@@ -1 +1 @@\n-three\n+drei\n"}});
  CHECK(wrong.exit_code == 1);
  CHECK(world.folder().read("repository/notes/a.txt") == "one\nzwei\n");
  REQUIRE(by_hand(world, "shell",
                  {{"command",
                    "git init -q -b main . && git add . && "
                    "git -c user.name=N -c user.email=n@e.x commit -qm first && "
                    "echo drei >> notes/a.txt"}})
              .exit_code == 0);
  const auto status = by_hand(world, "git_status", Json::object());
  CHECK(contains(status.out, "notes/a.txt"));
  CHECK(contains(status.out, "main"));
  CHECK(contains(by_hand(world, "git_diff", Json::object()).out, "+drei"));
  CHECK(contains(by_hand(world, "git_log", Json::object()).out, "first"));
}

TEST_CASE("a tool file is checked with the sandbox profiles that there are") {
  World world;
  const std::string tool =
      "tools:\n  - name: say\n    description: d\n    parameters: {type: object}\n"
      "    run: {argv: [echo, hi]}\n    sandbox: {profile: ";
  const auto checked = [&](const std::string& profile) {
    return world.sable({"tools", "check", world.folder().write("t.yaml", tool + profile + "}\n")});
  };
  CHECK(checked("strict").exit_code == 0);
  const auto refused = checked("strikt");
  CHECK(refused.exit_code == 1);
  CHECK(contains(refused.err, "t.yaml:6:24: no sandbox profile \"strikt\"; did you mean strict?"));
  world.folder().write("user/.config/sable/tools/t.yaml", tool + "strict}\n");
  const auto called = by_hand(world, "say", Json::object());
  INFO(called.err);
  CHECK(called.out == "hi\n");
}

TEST_CASE("a tool that is denied does not run by hand either, and the setting is named") {
  World world;
  const std::string head =
      "tools:\n  - name: say\n    description: d\n    parameters:\n      type: object\n"
      "      properties: {word: {type: string, default: loud}}\n"
      "    run: {argv: [echo, \"{word}\"]}\n";
  const auto say = [&](const std::string& approval, const Json& arguments) {
    world.folder().write("user/.config/sable/tools/t.yaml", head + approval);
    return by_hand(world, "say", arguments);
  };
  const auto refused = [](const Finished& ended, const std::string& setting) {
    INFO(ended.err);
    CHECK(ended.exit_code == 1);
    CHECK(ended.out.empty());
    CHECK(contains(ended.err, setting));
    CHECK(contains(ended.err, "nothing was run"));
  };
  refused(say("    approval: deny\n", Json::object()), "t.yaml: the approval of say is deny");
  const std::string rule = "    approval: {rules: [{argument: word, matches: loud, then: deny}]}\n";
  refused(say(rule, Json::object()), "t.yaml: a rule on its argument \"word\" denies");
  CHECK(say(rule, {{"word", "low"}}).out == "low\n");
  CHECK(say("    approval: ask\n", Json::object()).out == "loud\n");

  world.folder().write("user/.config/sable/config.yaml", "tools: {shell: {approval: deny}}\n");
  for (const char* tool : {"shell", "process_start"}) {
    refused(by_hand(world, tool, {{"command", "echo ran"}}),
            "config.yaml:1:27: tools.shell.approval is deny");
  }
}

TEST_CASE(
    "a file of tools without a tool is told of, and a name with a newline stays in its line") {
  World world;
  const auto empty = world.sable({"tools", "check", world.folder().write("t.yaml", "tools: []\n")});
  CHECK(empty.exit_code == 1);
  CHECK(contains(empty.err, "this file defines no tool"));
  const auto broken =
      world.sable({"tools", "check", world.folder().write("a\nb.yaml", "tools: [{name: 3}]\n")});
  CHECK(broken.exit_code == 1);
  CHECK(contains(broken.err, "a\\nb.yaml:1:9: "));
}
