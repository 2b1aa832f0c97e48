// `sable serve`: the same turn over a real WebSocket.
#include <catch2/catch.hpp>

#include "tests/e2e/front_end.h"

using namespace sable;
using namespace sable::test;

TEST_CASE("a front end gets the same turn over the WebSocket, asked before a tool runs") {
  World world;
  const auto config = world.folder().write("ask.yaml", "tools: {shell: {approval: ask}}\n");
  auto& model = world.play(
      Json::array({{{"tool_calls", Json::array({tool_call("shell", {{"command", "touch made"}})})}},
                   {{"text", "It is made."}}}));
  Serving serving(world, {"--config", config.string()});
  FrontEnd client = serving.connect();
  const auto id = client.begin(world.repository());
  const auto answered = client.prompt(id, "make it");
  INFO(dump_json(answered));
  CHECK(answered["result"]["stopReason"] == "end_turn");
  CHECK(std::filesystem::exists(world.repository() / "made"));
  CHECK(model.complaints().empty());

  bool was_asked = false;
  std::string text;
  for (const auto& message : client.seen) {
    const auto method = string_or(message, "method", "");
    was_asked = was_asked || method == "session/request_permission";
    if (method == "session/update") {
      const auto& update = message["params"]["update"];
      if (update["sessionUpdate"] == "agent_message_chunk") {
        text += update["content"]["text"].get<std::string>();
      }
    }
  }
  CHECK(was_asked);
  CHECK(text == "It is made.");

  // Other processes read the same home meanwhile.
  const auto listed = world.sable({"session", "list", "--json"}).json_lines();
  REQUIRE(listed.size() == 1);
  CHECK(listed[0]["id"] == id);
  CHECK(serving.stop().exit_code == 143);
}
