// Who may say yes, and everything that counts as no.
#include <catch2/catch.hpp>

#include "tests/unit/runtime/server/protocol_client.h"

using namespace sable;
using sable::test::Act;
using sable::test::ProtocolClient;
using sable::test::ProtocolServer;

namespace {

/// The requests for permission among what was sent to the client.
std::vector<Json> asked(ProtocolClient& client) {
  return ProtocolClient::of_method(client.take(), "session/request_permission");
}

Json selected(const std::string& option) {
  return {{"outcome", {{"outcome", "selected"}, {"optionId", option}}}};
}

/// The decisions that the session has logged, as the store has them.
std::vector<std::string> decisions(ProtocolServer& server, const std::string& session) {
  std::vector<std::string> found;
  asio::co_spawn(server.loop, server.host.read(session, 1, 1000),
                 [&](const std::exception_ptr&, auto events) {
                   for (const auto& event : *events) {
                     if (event.type == "approval.decided") found.push_back(event.data["decision"]);
                   }
                 });
  server.run();
  return found;
}

}  // namespace

TEST_CASE("the question names the call and offers four answers; each means what it says") {
  ProtocolServer server;
  ProtocolClient client(server);
  const auto session = client.new_session();
  struct Example {
    const char* option;
    const char* decision;
  };
  const auto example =
      GENERATE(Example{"allow_once", "once"}, Example{"allow_always", "session"},
               Example{"reject_once", "refused"}, Example{"reject_always", "refused"});
  server.host.turns.push_back({Act::ask("shell")});
  const int id = client.prompt(session);
  const auto questions = asked(client);
  REQUIRE(questions.size() == 1);
  const auto& params = questions[0]["params"];
  CHECK(params["sessionId"] == session);
  CHECK(params["toolCall"]["title"] == "make");
  CHECK(params["toolCall"]["rawInput"]["command"] == "make");
  std::vector<std::string> kinds;
  for (const auto& option : params["options"]) kinds.push_back(option["kind"]);
  CHECK(kinds ==
        std::vector<std::string>{"allow_once", "allow_always", "reject_once", "reject_always"});
  client.answer(questions[0]["id"], selected(example.option));
  CHECK(client.answer_to(id)["result"]["stopReason"] == "end_turn");
  CHECK(decisions(server, session) == std::vector<std::string>{example.decision});
}

TEST_CASE("whatever is not a clear yes is a no") {
  ProtocolServer server;
  ProtocolClient client(server);
  const auto session = client.new_session();
  server.host.turns.push_back({Act::ask("shell")});
  client.prompt(session);
  const auto questions = asked(client);
  REQUIRE(questions.size() == 1);
  const Json id = questions[0]["id"];
  SECTION("cancelled") { client.answer(id, {{"outcome", {{"outcome", "cancelled"}}}}); }
  SECTION("unknown option") { client.answer(id, selected("yes")); }
  SECTION("unknown outcome") {
    client.answer(id, {{"outcome", {{"outcome", "allowed"}, {"optionId", "allow_once"}}}});
  }
  SECTION("option that is no string") {
    client.answer(id, {{"outcome", {{"outcome", "selected"}, {"optionId", 1}}}});
  }
  SECTION("outcome that is no object") { client.answer(id, {{"outcome", "selected"}}); }
  SECTION("no outcome") { client.answer(id, Json::object()); }
  SECTION("no object") { client.answer(id, true); }
  SECTION("error") {
    client.connection.receive(dump_json(
        {{"jsonrpc", "2.0"}, {"id", id}, {"error", {{"code", -32601}, {"message", "?"}}}}));
  }
  server.run();
  CHECK(decisions(server, session) == std::vector<std::string>{"refused"});
  client.answer(id, selected("allow_once"));  // too late
  CHECK(decisions(server, session) == std::vector<std::string>{"refused"});
}

TEST_CASE("an answer under another id does not count") {
  ProtocolServer server;
  ProtocolClient client(server);
  const auto session = client.new_session();
  server.host.turns.push_back({Act::ask("shell")});
  client.prompt(session);
  const Json id = asked(client).at(0)["id"];
  for (const Json& other :
       {Json(id.get<int>() + 1), Json(-1), Json(std::to_string(id.get<int>()))}) {
    client.answer(other, selected("allow_once"));
  }
  CHECK(decisions(server, session).empty());
  client.answer(id, selected("reject_once"));
  CHECK(decisions(server, session) == std::vector<std::string>{"refused"});
}

TEST_CASE("a disconnect is a refusal, and the turn goes on") {
  ProtocolServer server;
  std::string session;
  {
    ProtocolClient client(server);
    session = client.new_session();
    server.host.turns.push_back({Act::ask("shell"), Act::event("note.added", {})});
    client.prompt(session);
    REQUIRE(asked(client).size() == 1);
  }
  CHECK(decisions(server, session) == std::vector<std::string>{"refused"});
  CHECK(server.host.n_events(session) == 5);
}

TEST_CASE("no answer within the limit is a refusal, and the question is withdrawn") {
  ProtocolServer server(std::chrono::milliseconds(20));
  ProtocolClient client(server);
  const auto session = client.new_session();
  server.host.turns.push_back({Act::ask("shell")});
  client.prompt(session);
  const Json id = asked(client).at(0)["id"];
  server.loop.restart();
  server.loop.run_for(std::chrono::milliseconds(60));
  CHECK(decisions(server, session) == std::vector<std::string>{"refused"});
  const auto withdrawn = ProtocolClient::of_method(client.take(), "$/cancel_request");
  REQUIRE(withdrawn.size() == 1);
  CHECK(withdrawn[0]["params"]["requestId"] == id);
}

TEST_CASE("nobody attached is a refusal; one who only subscribes is not asked") {
  ProtocolServer server;
  ProtocolClient viewer(server);
  std::string session;
  {
    ProtocolClient client(server);
    session = client.new_session();
    viewer.call("_sable/subscribe", {{"sessionId", session}});
    server.host.turns.push_back({Act::wait(), Act::ask("shell")});
    client.prompt(session);
    server.run();
  }
  server.host.release();
  CHECK(asked(viewer).empty());
  CHECK(decisions(server, session) == std::vector<std::string>{"refused"});
}

TEST_CASE("of several who are asked the first valid answer counts, and the others are told") {
  ProtocolServer server;
  ProtocolClient first(server), second(server), third(server);
  const auto session = first.new_session();
  const Json load{{"sessionId", session}, {"cwd", "/repo"}, {"mcpServers", Json::array()}};
  second.call("session/load", load);
  server.host.turns.push_back({Act::ask("shell")});
  first.prompt(session);
  const Json first_id = asked(first).at(0)["id"];
  const Json second_id = asked(second).at(0)["id"];
  third.send("session/load", load);  // comes while the question is open: asked too
  const auto third_id = asked(third).at(0)["id"];
  first.answer(first_id, selected("nonsense"));  // no valid answer: the question stays open
  CHECK(decisions(server, session).empty());
  second.answer(second_id, selected("allow_once"));
  CHECK(decisions(server, session) == std::vector<std::string>{"once"});
  CHECK(ProtocolClient::of_method(third.take(), "$/cancel_request").size() == 1);
  CHECK(ProtocolClient::of_method(second.take(), "$/cancel_request").empty());
  third.answer(third_id, selected("reject_once"));
  CHECK(decisions(server, session) == std::vector<std::string>{"once"});
}

TEST_CASE("reject_always holds for that tool in that session") {
  ProtocolServer server;
  ProtocolClient client(server);
  const auto session = client.new_session();
  server.host.turns.push_back({Act::ask("shell"), Act::ask("shell"), Act::ask("other")});
  client.prompt(session);
  client.answer(asked(client).at(0)["id"], selected("reject_always"));
  const auto second = asked(client);
  REQUIRE(second.size() == 1);
  CHECK(second[0]["params"]["options"][1]["name"] == "Allow other for this session");
  client.answer(second[0]["id"], selected("allow_once"));
  CHECK(decisions(server, session) == std::vector<std::string>{"refused", "refused", "once"});
}

TEST_CASE("a cancel while a question is open withdraws it and ends the turn as cancelled") {
  ProtocolServer server;
  ProtocolClient client(server);
  const auto session = client.new_session();
  server.host.turns.push_back({Act::ask("shell"), Act::event("never", {})});
  const int id = client.prompt(session);
  REQUIRE(asked(client).size() == 1);
  client.notify("session/cancel", {{"sessionId", session}});
  const auto answer = client.answer_to(id);
  CHECK(answer["result"]["stopReason"] == "cancelled");
  CHECK(ProtocolClient::of_method(client.others, "$/cancel_request").size() == 1);
}
