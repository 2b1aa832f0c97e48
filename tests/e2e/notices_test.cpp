// What front ends are told beside the turn itself, over a real WebSocket: protection that the user
// does without, the plan, tools that changed.
#include <algorithm>

#include <catch2/catch.hpp>

#include "tests/e2e/front_end.h"

using namespace sable;
using namespace sable::test;

namespace {

const Json kNoServers = Json::array();

Json one_call(const std::string& name, const Json& arguments) {
  return {{"tool_calls", Json::array({tool_call(name, arguments)})}};
}

/// The `update` objects that came so far; what is still on its way is waited for.
std::vector<Json> updates_of(FrontEnd& client, const std::string& kind) {
  client.call("_sable/ping", Json::object());
  std::vector<Json> found;
  for (const auto& message : client.seen) {
    if (string_or(message, "method", "") != "session/update") continue;
    const auto& update = message["params"]["update"];
    if (update["sessionUpdate"] == kind) found.push_back(update);
  }
  return found;
}

/// Messages of the program itself about this, in order.
std::vector<Json> notices_of(FrontEnd& client, const std::string& about) {
  auto found = updates_of(client, "agent_message_chunk");
  std::erase_if(found, [&](const Json& update) {
    return !update.contains("_meta") || update["_meta"]["sable"]["notice"] != about;
  });
  return found;
}

std::vector<Json> events_of(const World& world, const std::string& session,
                            const std::string& type) {
  auto events = world.sable({"session", "events", session}).json_lines();
  std::erase_if(events, [&](const Json& event) { return event["type"] != type; });
  return events;
}

void greet(FrontEnd& client) { client.call("initialize", {{"protocolVersion", 1}}); }

bool contains(const Json& text, const std::string& part) {
  return text.is_string() && text.get<std::string>().find(part) != std::string::npos;
}

/// Contents and states of a plan.
std::vector<std::string> lines_of(const Json& plan) {
  std::vector<std::string> lines;
  for (const auto& entry : plan["entries"]) {
    lines.push_back(entry["status"].get<std::string>() + " " + entry["content"].get<std::string>());
  }
  return lines;
}

}  // namespace

TEST_CASE("no sandbox and an open network are shown to every client, asked with, and logged") {
  World world;
  const auto config = world.folder().write("asking.yaml", "tools: {shell: {approval: ask}}\n");
  auto& model = world.play(Json::array(
      {one_call("shell", {{"command", "touch made"}}), {{"text", "Made."}}, {{"text", "Again."}}}));
  std::string id;
  {
    Serving serving(world, {"--no-sandbox", "--network", "open", "--config", config.string()});
    FrontEnd client = serving.connect();
    greet(client);
    const auto created = client.call(
        "session/new", {{"cwd", world.repository().string()}, {"mcpServers", kNoServers}});
    INFO(dump_json(created));
    id = created["result"]["sessionId"];
    const Json opt_outs = created["result"]["_meta"]["sable"]["opt_outs"];
    REQUIRE(opt_outs.size() == 2);
    CHECK(contains(opt_outs[0], "NO SANDBOX"));
    CHECK(contains(opt_outs[1], "OPEN NETWORK"));
    CHECK(contains(opt_outs[1], "(--network)"));

    const auto told = notices_of(client, "opt_outs");
    REQUIRE(told.size() == 1);
    CHECK(contains(told[0]["content"]["text"], opt_outs[0]));
    CHECK(contains(told[0]["content"]["text"], opt_outs[1]));
    CHECK(told[0]["_meta"]["sable"]["opt_outs"] == opt_outs);

    FrontEnd other = serving.connect();
    greet(other);
    const Json place{
        {"sessionId", id}, {"cwd", world.repository().string()}, {"mcpServers", kNoServers}};
    CHECK(other.call("session/resume", place)["result"]["_meta"]["sable"]["opt_outs"] == opt_outs);
    CHECK(notices_of(other, "opt_outs").size() == 1);
    CHECK(other.call("_sable/subscribe",
                     {{"sessionId", id}})["result"]["_meta"]["sable"]["opt_outs"] == opt_outs);

    client.prompt(id, "make it");
    CHECK(std::filesystem::exists(world.repository() / "made"));
    const auto question = std::find_if(client.seen.begin(), client.seen.end(), [](const Json& m) {
      return string_or(m, "method", "") == "session/request_permission";
    });
    REQUIRE(question != client.seen.end());
    CHECK((*question)["params"]["_meta"]["sable"]["opt_outs"] == opt_outs);

    const auto ended = serving.stop();
    CHECK(contains(ended.err, "sable: " + opt_outs[0].get<std::string>()));
    CHECK(contains(ended.err, "sable: " + opt_outs[1].get<std::string>()));
    const auto started = events_of(world, id, "session.started");
    REQUIRE(started.size() == 1);
    CHECK(started[0]["data"]["details"]["opt_outs"] == opt_outs);
    CHECK(events_of(world, id, "opt_outs.changed").empty());
  }
  // The same session under the sandbox: the log says so, and whoever reads the story is told both.
  Serving serving(world);
  FrontEnd client = serving.connect();
  greet(client);
  const auto loaded = client.call(
      "session/load",
      {{"sessionId", id}, {"cwd", world.repository().string()}, {"mcpServers", kNoServers}});
  CHECK(loaded["result"] == Json::object());
  const auto told = notices_of(client, "opt_outs");
  REQUIRE(told.size() == 2);
  CHECK(told[0]["_meta"]["sable"]["opt_outs"].size() == 2);
  CHECK(told[1]["_meta"]["sable"]["opt_outs"] == Json::array());
  CHECK(contains(told[1]["content"]["text"], "confined"));
  client.prompt(id, "again");
  CHECK(model.complaints().empty());
  CHECK(serving.stop().exit_code == 143);
  const auto changed = events_of(world, id, "opt_outs.changed");
  REQUIRE(changed.size() == 1);
  CHECK(changed[0]["data"]["opt_outs"] == Json::array());
  const auto shown = world.sable({"session", "show", id}).out;
  CHECK(contains(shown, "NO SANDBOX: commands run with all your rights"));
  CHECK(contains(shown, "from here on with all of the protection again"));
}

TEST_CASE("commands by hand say what protection they do without") {
  World world;
  const auto by_hand = world.sable({"sandbox", "run", "--network", "open", "--", "true"});
  CHECK(by_hand.exit_code == 0);
  CHECK(by_hand.err == "sable: OPEN NETWORK: commands may talk to any address (--network)\n");
  const auto confined = world.sable({"sandbox", "run", "--", "true"});
  CHECK(confined.err.empty());
  const auto bare = world.sable({"sandbox", "run", "--no-sandbox", "--", "true"});
  CHECK(bare.err == "sable: NO SANDBOX: commands run with all your rights (--no-sandbox)\n");
}

TEST_CASE("the todo list is the protocol's plan, whole and once for each call that changes it") {
  World world;
  const auto todo = [](const Json& items) { return one_call("todo", {{"items", items}}); };
  auto& model =
      world.play(Json::array({todo({{{"id", "1"}, {"text", "build"}, {"status", "active"}},
                                    {{"id", "1.1"}, {"text", "link"}, {"parent", "1"}},
                                    {{"id", "2"}, {"text", "ask"}, {"status", "blocked"}},
                                    {{"id", "3"}, {"text", "never"}}}),
                              one_call("todo", Json::object()),  // only looks
                              todo({{{"id", "1.1"}, {"status", "done"}, {"evidence", "ld says 0"}},
                                    {{"id", "3"}, {"status", "dropped"}}}),
                              {{"text", "Noted."}}}));
  Serving serving(world);
  FrontEnd client = serving.connect();
  const auto id = client.begin(world.repository());
  CHECK(updates_of(client, "plan").empty());
  client.prompt(id, "plan it");
  CHECK(model.complaints().empty());
  const auto plans = updates_of(client, "plan");
  REQUIRE(plans.size() == 2);
  CHECK(lines_of(plans[0]) == std::vector<std::string>{"in_progress build", "pending link",
                                                       "pending ask (blocked)", "pending never"});
  CHECK(lines_of(plans[1]) ==
        std::vector<std::string>{"in_progress build", "completed link", "pending ask (blocked)"});
  CHECK(plans[1]["entries"][1]["priority"] == "medium");
  CHECK(plans[1]["entries"][1]["_meta"]["sable"] ==
        Json{{"id", "1.1"}, {"parent", "1"}, {"status", "done"}, {"evidence", "ld says 0"}});

  // Who comes later is shown the plan as it stands, with and without the story.
  for (const char* method : {"session/resume", "session/load"}) {
    FrontEnd late = serving.connect();
    greet(late);
    late.call(
        method,
        {{"sessionId", id}, {"cwd", world.repository().string()}, {"mcpServers", kNoServers}});
    const auto shown = updates_of(late, "plan");
    REQUIRE(shown.size() == 1);
    CHECK(shown[0] == plans[1]);
  }
  CHECK(serving.stop().exit_code == 143);
}

TEST_CASE("a tool file that cannot be read is told to clients and subscribers before the turn") {
  World world;
  const std::string file = "user/.config/sable/tools/say.yaml";
  auto& model = world.play(Json::array({{{"text", "One."}}, {{"text", "Two."}}}));
  Serving serving(world);
  FrontEnd client = serving.connect();
  const auto id = client.begin(world.repository());
  client.call("_sable/subscribe", {{"sessionId", id}, {"after", 2}});
  client.prompt(id, "one");
  CHECK(notices_of(client, "tools").empty());
  world.folder().write(file, "tools:\n  - nome: say\n");
  client.prompt(id, "two");
  CHECK(model.complaints().empty());
  const auto told = notices_of(client, "tools");
  REQUIRE(told.size() == 1);
  CHECK(contains(told[0]["content"]["text"], "say.yaml:2:5"));
  const auto event = std::find_if(client.seen.begin(), client.seen.end(), [](const Json& m) {
    return string_or(m, "method", "") == "_sable/event" && m["params"]["type"] == "tools.changed";
  });
  REQUIRE(event != client.seen.end());
  CHECK((*event)["params"]["data"]["notice"] == told[0]["content"]["text"]);
  CHECK(serving.stop().exit_code == 143);
}
