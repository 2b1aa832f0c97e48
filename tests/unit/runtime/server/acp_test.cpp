#include "runtime/server/acp.h"

#include <rapidcheck.h>

#include <catch2/catch.hpp>

#include "tests/unit/runtime/server/protocol_client.h"

using namespace sable;
using namespace sable::runtime;
using sable::test::Act;
using sable::test::ProtocolClient;
using sable::test::ProtocolServer;

namespace {

Json reply(int step, const std::string& text, Json calls = Json::array()) {
  return {{"turn", 1},
          {"step", step},
          {"text", text},
          {"reasoning", ""},
          {"tool_calls", std::move(calls)}};
}

std::vector<memory::Seq> seqs(const std::vector<Json>& messages) {
  std::vector<memory::Seq> found;
  for (const auto& event : ProtocolClient::of_method(messages, "_sable/event")) {
    found.push_back(event["params"]["seq"].get<memory::Seq>());
  }
  return found;
}

std::vector<memory::Seq> range(memory::Seq from, memory::Seq to) {
  std::vector<memory::Seq> numbers;
  for (auto n = from; n <= to; ++n) numbers.push_back(n);
  return numbers;
}

}  // namespace

TEST_CASE("initialize answers version 1 and what is offered; before it everything is refused") {
  ProtocolServer server;
  ProtocolClient client(server, 1 << 20, false);
  CHECK(client.call("session/new", {{"cwd", "/repo"}})["error"]["code"] == -32600);
  CHECK(client.call("nonsense", {})["error"]["code"] == -32600);
  CHECK(client.call("initialize", Json::object())["error"]["code"] == -32602);
  CHECK(client.call("initialize", {{"protocolVersion", "1"}})["error"]["code"] == -32602);
  const auto answer = client.call("initialize", {{"protocolVersion", 2}});
  CHECK(answer["result"]["protocolVersion"] == 1);
  CHECK(answer["result"]["agentInfo"]["version"] == "1.2.3");
  CHECK(answer["result"]["agentCapabilities"]["loadSession"] == true);
  CHECK(client.call("initialize", {{"protocolVersion", 1}})["error"]["code"] == -32600);
}

TEST_CASE("what the user does without is told right behind the answer, and in it") {
  ProtocolServer server;
  server.host.opted_out = {"NO SANDBOX"};
  ProtocolClient client(server);
  const int id = client.send("session/new", {{"cwd", "/repo"}, {"mcpServers", Json::array()}});
  const auto messages = client.take();
  REQUIRE(messages.size() == 2);
  CHECK(messages[0]["id"] == id);
  CHECK(messages[0]["result"]["_meta"]["sable"]["opt_outs"] == Json{"NO SANDBOX"});
  CHECK(messages[1]["params"]["update"]["_meta"]["sable"]["notice"] == "opt_outs");
  const std::string session = messages[0]["result"]["sessionId"];
  server.host.turns.push_back({Act::ask("shell")});
  client.prompt(session);
  const auto asked = ProtocolClient::of_method(client.take(), "session/request_permission");
  REQUIRE(asked.size() == 1);
  CHECK(asked[0]["params"]["_meta"]["sable"]["opt_outs"] == Json{"NO SANDBOX"});
}

TEST_CASE(
    "unknown methods, bad params, garbage and batches get their codes and the connection goes on") {
  ProtocolServer server;
  ProtocolClient client(server);
  CHECK(client.call("session/nonsense", {})["error"]["code"] == -32601);
  CHECK(client.call("session/new", Json::object())["error"]["code"] == -32602);
  CHECK(client.call("session/new", {{"cwd", "relative"}})["error"]["code"] == -32602);
  CHECK(client.call("session/new",
                    {{"cwd", "/r"}, {"additionalDirectories", {"/x"}}})["error"]["code"] == -32602);
  CHECK(client.call("session/new", {{"cwd", "/missing"}})["error"]["code"] == -32002);
  CHECK(client.call("session/prompt", {{"sessionId", "s_9"}})["error"]["code"] == -32602);
  client.connection.receive("{");
  client.connection.receive("[]");
  const auto answers = client.take();
  REQUIRE(answers.size() == 2);
  CHECK(answers[0]["error"]["code"] == -32700);
  CHECK(answers[1]["error"]["code"] == -32600);
  CHECK(answers[1]["id"].is_null());
  client.notify("session/nonsense", {});  // unknown notifications are ignored
  client.answer(99, Json::object());      // so are answers to nothing
  CHECK(client.take().empty());
  CHECK(client.call("_sable/ping", {})["result"] == Json::object());
}

TEST_CASE("a whole turn: previews stream, events complete them, the answer comes last") {
  ProtocolServer server;
  ProtocolClient client(server);
  const auto session = client.new_session();
  const Json call{{"id", "c1"}, {"name", "shell"}, {"arguments", R"({"command":"make"})"}};
  server.host.turns.push_back(
      {Act::event("model.requested", {{"turn", 1}, {"step", 1}}), Act::text(1, "I will "),
       Act::text(1, "run"),
       Act::event("model.finished", reply(1, "I will run it", Json::array({call}))),
       Act::event("tool.intent", {{"call_id", "c1"}}),
       Act::event("tool.started", {{"call_id", "c1"}}), Act::output("c1", "line 1\n"),
       Act::event("tool.outcome", {{"call_id", "c1"},
                                   {"name", "shell"},
                                   {"status", "ok"},
                                   {"text", "line 1"},
                                   {"changes", Json::array({{{"path", "a.c"}, {"diff", "+x"}}})},
                                   {"details", {{"exit_code", 0}}}})});
  const int id = client.prompt(session, "build it");
  const auto answer = client.answer_to(id);
  CHECK(answer["result"]["stopReason"] == "end_turn");
  CHECK(answer["result"]["_meta"]["sable"]["status"] == "finished");
  CHECK(server.host.prompts == std::vector<std::string>{"build it"});
  const auto updates = ProtocolClient::updates(client.others);
  REQUIRE(updates.size() >= 6);
  std::string text;
  std::vector<std::string> statuses;
  for (const auto& update : updates) {
    const std::string kind = update["sessionUpdate"];
    CHECK(kind != "user_message_chunk");  // the client knows what it asked
    if (kind == "agent_message_chunk") text += update["content"]["text"].get<std::string>();
    if (kind.starts_with("tool_call")) {
      CHECK(update["toolCallId"] == "c1");
      statuses.push_back(update["status"]);
    }
    if (kind == "tool_call") {
      CHECK(update["kind"] == "execute");
      CHECK(update["title"] == "make");
      CHECK(update["rawInput"]["command"] == "make");
    }
  }
  CHECK(text == "I will run it");
  CHECK(statuses == std::vector<std::string>{"pending", "in_progress", "in_progress", "completed"});
  CHECK(updates.back()["content"][1]["content"]["text"] == "```diff\n+x\n```");
  CHECK(updates.back()["locations"][0]["path"] == "/repo/a.c");
  CHECK(updates.back()["rawOutput"]["details"]["exit_code"] == 0);
}

TEST_CASE("how a turn ended is how the prompt is answered") {
  ProtocolServer server;
  ProtocolClient client(server);
  const auto session = client.new_session();
  server.host.result.status = "limit";
  CHECK(client.answer_to(client.prompt(session))["result"]["stopReason"] == "max_turn_requests");
  server.host.result.status = "failed";
  server.host.result.reason = "the endpoint refused the key";
  const auto failed = client.answer_to(client.prompt(session));
  CHECK(failed["error"]["code"] == -32603);
  CHECK(failed["error"]["message"] == "the endpoint refused the key");
  CHECK(failed["error"]["data"]["sable"]["status"] == "failed");
}

TEST_CASE("continue goes on with the newest turn and is answered like a prompt") {
  ProtocolServer server;
  ProtocolClient client(server);
  const auto session = client.new_session();
  CHECK(client.call("_sable/continue", {{"sessionId", session}})["result"]["stopReason"] ==
        "end_turn");
  CHECK(server.host.prompts == std::vector<std::string>{"(goes on)"});
  CHECK(client.call("_sable/continue", {{"sessionId", "other"}})["error"].is_object());
  CHECK(client.call("_sable/continue", Json::object())["error"].is_object());
}

TEST_CASE("cancel ends the turn as cancelled, even when it comes right behind the prompt") {
  ProtocolServer server;
  ProtocolClient client(server);
  const auto session = client.new_session();
  const bool at_once = GENERATE(true, false);
  server.host.turns.push_back(
      {Act::event("model.requested", {{"step", 1}}), Act::wait(), Act::event("never", {})});
  const int id = client.prompt(session);
  if (!at_once) CHECK(client.answer_to(id).is_null());
  client.notify("session/cancel", {{"sessionId", session}});
  CHECK(client.answer_to(id)["result"]["stopReason"] == "cancelled");
  CHECK_FALSE(server.host.interruptions.empty());
  client.notify("session/cancel", {{"sessionId", session}});  // nothing runs: nothing happens
  client.notify("session/cancel", {{"sessionId", "other"}});
  CHECK(client.answer_to(client.prompt(session))["result"]["stopReason"] == "end_turn");
}

TEST_CASE("a second prompt while a turn runs is refused and the first goes on") {
  ProtocolServer server;
  ProtocolClient client(server);
  const auto session = client.new_session();
  server.host.turns.push_back({Act::wait()});
  const int first = client.prompt(session);
  const int second = client.prompt(session);
  CHECK(client.answer_to(second)["error"]["code"] == -32600);
  server.host.release();
  CHECK(client.answer_to(first)["result"]["stopReason"] == "end_turn");
}

TEST_CASE("a prompt's blocks become one text; what no model here can see is refused") {
  ProtocolServer server;
  ProtocolClient client(server);
  const auto session = client.new_session();
  const Json blocks = Json::array(
      {{{"type", "text"}, {"text", "look at"}},
       {{"type", "resource_link"}, {"name", "a.c"}, {"uri", "file:///a.c"}},
       {{"type", "resource"}, {"resource", {{"uri", "file:///b"}, {"text", "int b;"}}}}});
  CHECK(client.call("session/prompt", {{"sessionId", session}, {"prompt", blocks}})
            .contains("result"));
  CHECK(server.host.prompts.back() == "look at\n\n[a.c](file:///a.c)\n\nfile:///b:\n\nint b;");
  for (const Json& bad : {Json::array({{{"type", "image"}, {"data", "x"}}}), Json::array(),
                          Json("text"), Json::array({1}), Json::array({{{"type", "text"}}})}) {
    INFO(dump_json(bad));
    CHECK(client.call("session/prompt",
                      {{"sessionId", session}, {"prompt", bad}})["error"]["code"] == -32602);
  }
  CHECK(client.call("session/prompt",
                    {{"sessionId", "s_9"}, {"prompt", blocks}})["error"]["code"] == -32002);
}

TEST_CASE("a turn goes on when its client has gone, and another client sees it to its end") {
  ProtocolServer server;
  std::string session;
  {
    ProtocolClient first(server);
    session = first.new_session();
    server.host.turns.push_back({Act::event("model.requested", {{"step", 1}}), Act::wait(),
                                 Act::event("model.finished", reply(1, "still here"))});
    first.prompt(session);
    server.run();
  }
  CHECK(server.host.n_events(session) == 3);
  ProtocolClient second(server);
  const auto subscribed = second.call("_sable/subscribe", {{"sessionId", session}, {"after", 1}});
  CHECK(subscribed["result"]["live"] == true);
  CHECK(subscribed["result"]["last"] == 3);
  CHECK(seqs(second.others) == range(2, 3));
  server.host.release();
  CHECK(seqs(second.take()) == range(4, 5));
}

TEST_CASE("load replays the whole story before it answers, and then goes live") {
  ProtocolServer server;
  server.host.add_past("s_old", "/repo", 0);
  server.host.append("s_old", "turn.started", {{"turn", 1}, {"prompt", "hello"}});
  server.host.append("s_old", "model.requested", {{"turn", 1}, {"step", 1}});
  server.host.append("s_old", "model.finished", reply(1, "hi"));
  ProtocolClient client(server);
  const Json params{{"sessionId", "s_old"}, {"cwd", "/repo"}, {"mcpServers", Json::array()}};
  const int id = client.send("session/load", params);
  const auto messages = client.take();
  REQUIRE(messages.size() == 3);
  CHECK(messages[0]["params"]["update"]["sessionUpdate"] == "user_message_chunk");
  CHECK(messages[0]["params"]["update"]["content"]["text"] == "hello");
  CHECK(messages[1]["params"]["update"]["content"]["text"] == "hi");
  CHECK(messages[2]["id"] == id);
  CHECK(messages[2].contains("result"));
  server.host.append("s_old", "turn.started", {{"turn", 2}, {"prompt", "more"}});
  CHECK(client.take().size() == 1);

  ProtocolClient other(server);
  CHECK(other.call("session/resume", params).contains("result"));
  CHECK(other.others.empty());
  CHECK(other.call("session/load", {{"sessionId", "s_9"}, {"cwd", "/repo"}})["error"]["code"] ==
        -32002);
  CHECK(other.call("session/load", {{"sessionId", "s_old"}, {"cwd", "/other"}})["error"]["code"] ==
        -32602);
  server.host.add_past("s_theirs", "/repo", 1);
  server.host.owned_elsewhere.insert("s_theirs");
  const auto theirs = other.call("session/load", {{"sessionId", "s_theirs"}, {"cwd", "/repo"}});
  CHECK(theirs["error"]["data"]["code"] == "denied");
  CHECK(theirs["error"]["message"].get<std::string>().find("process 7") != std::string::npos);
  CHECK(other.call("session/list", {})["result"]["sessions"].size() == 2);
  CHECK(other.call("session/list", {{"cwd", "/none"}})["result"]["sessions"].empty());
}

TEST_CASE("subscribe replays from any number and goes live without gap or repetition") {
  ProtocolServer server;
  ProtocolClient client(server);
  const auto session = client.new_session();
  for (int i = 0; i < 99; ++i) server.host.append(session, "note.added", {{"i", i}});
  client.take();
  const auto after = GENERATE(0u, 1u, 50u, 99u, 100u);
  const int id = client.send("_sable/subscribe", {{"sessionId", session}, {"after", after}});
  std::vector<Json> messages;
  // Events go on while the replay runs.
  for (int i = 0; i < 50; ++i) {
    server.loop.restart();
    server.loop.poll_one();
    server.host.append(session, "note.added", {{"live", i}});
  }
  messages = client.take();
  CHECK(seqs(messages) == range(after + 1, 150));
  CHECK(messages[0]["id"] == id);  // the answer comes first
  CHECK(client.call("_sable/subscribe",
                    {{"sessionId", session}, {"after", 151}})["error"]["code"] == -32602);
  CHECK(client.call("_sable/subscribe", {{"sessionId", session}, {"after", -1}})["error"]["code"] ==
        -32602);
  CHECK(client.call("_sable/subscribe", {{"sessionId", "s_9"}})["error"]["code"] == -32002);
  client.call("_sable/unsubscribe", {{"sessionId", session}});
  server.host.append(session, "note.added", {});
  CHECK(seqs(client.take()).empty());
}

TEST_CASE("a session that is not live here is replayed and said to be so") {
  ProtocolServer server;
  server.host.add_past("s_old", "/repo", 40);
  ProtocolClient client(server);
  const auto answer = client.call("_sable/subscribe", {{"sessionId", "s_old"}});
  CHECK(answer["result"]["live"] == false);
  CHECK(seqs(client.others) == range(1, 40));
}

TEST_CASE("a client that does not read gets every event later, and hears of the lag") {
  ProtocolServer server;
  ProtocolClient client(server, 20'000);
  const auto session = client.new_session();
  client.call("_sable/subscribe", {{"sessionId", session}});
  server.host.append(session, "model.requested", {{"turn", 1}, {"step", 1}});
  const std::string large(1'000, 'x');
  for (int i = 0; i < 500; ++i) {
    server.host.preview(session, {.step = 1, .text = large});
    server.host.append(session, "note.added", {{"text", large}});
    server.run();
  }
  CHECK(client.outbox.bytes() < 60'000);
  CHECK_FALSE(client.outbox.overflowed());
  const auto messages = client.take();
  CHECK(seqs(messages) == range(2, 502));
  CHECK(ProtocolClient::of_method(messages, "_sable/lagged").size() >= 1);
  // Once it has caught up it is live again.
  server.host.append(session, "note.added", {});
  CHECK(seqs(client.take()) == range(503, 503));
}

TEST_CASE("text whose previews were dropped is sent whole by the event, never twice") {
  ProtocolServer server;
  ProtocolClient client(server, 8'000);
  const auto session = client.new_session();
  std::string whole;
  std::vector<Act> acts{Act::event("model.requested", {{"turn", 1}, {"step", 1}})};
  for (int i = 0; i < 300; ++i) {
    const std::string piece = std::to_string(i) + std::string(100, '.') + "\n";
    whole += piece;
    acts.push_back(Act::text(1, piece));
  }
  acts.push_back(Act::event("model.finished", reply(1, whole)));
  server.host.turns.push_back(acts);
  const int id = client.prompt(session);
  const auto answer = client.answer_to(id);
  CHECK(answer["result"]["stopReason"] == "end_turn");
  std::string seen;
  for (const auto& update : ProtocolClient::updates(client.others)) {
    if (update["sessionUpdate"] == "agent_message_chunk")
      seen += update["content"]["text"].get<std::string>();
  }
  CHECK(seen == whole);
}

TEST_CASE("a log that cannot be read closes the connection as an internal error") {
  ProtocolServer server;
  server.host.add_past("s_old", "/repo", 3);
  ProtocolClient client(server);
  server.host.read_error = {ErrorCode::corrupt, "event 2 is damaged"};
  client.call("_sable/subscribe", {{"sessionId", "s_old"}});
  REQUIRE(client.outbox.closing());
  CHECK(client.outbox.closing()->code == 1011);
  ProtocolClient other(server);
  const auto load = other.call("session/load", {{"sessionId", "s_old"}, {"cwd", "/repo"}});
  CHECK(load["error"]["data"]["code"] == "corrupt");
}

TEST_CASE("more requests in flight than the limit are refused, not queued") {
  ProtocolServer server;
  ProtocolClient client(server);
  for (int i = 0; i < 100; ++i) client.send("_sable/ping", {});
  size_t n_ok = 0, n_refused = 0;
  for (const auto& message : client.take()) {
    n_ok += message.contains("result") ? 1 : 0;
    n_refused += message.contains("error") && message["error"]["code"] == -32000 ? 1 : 0;
  }
  CHECK(n_ok == 64);
  CHECK(n_refused == 36);
  CHECK(client.call("_sable/ping", {}).contains("result"));
}

TEST_CASE("no sequence of messages brings the protocol down") {
  CHECK(rc::check([] {
    ProtocolServer server;
    server.host.add_past("s_old", "/repo", 5);
    ProtocolClient client(server, 5'000, *rc::gen::arbitrary<bool>());
    const auto n = *rc::gen::inRange(0, 30);
    for (int i = 0; i < n; ++i) {
      const auto method = *rc::gen::element<std::string>(
          "initialize", "session/new", "session/load", "session/resume", "session/list",
          "session/prompt", "session/cancel", "_sable/subscribe", "_sable/unsubscribe",
          "_sable/ping", "x");
      const auto session = *rc::gen::element<Json>("s_old", "s_1", "s_2", "", 5, nullptr);
      Json params{{"sessionId", session},
                  {"cwd", *rc::gen::element<Json>("/repo", "/missing", "x", 1)}};
      if (*rc::gen::arbitrary<bool>()) {
        params["prompt"] = Json::array({{{"type", "text"}, {"text", "go"}}});
      }
      if (*rc::gen::arbitrary<bool>()) params["after"] = *rc::gen::element<Json>(0, 3, 99, "x", -1);
      if (*rc::gen::arbitrary<bool>())
        server.host.turns.push_back({Act::text(1, "a"), Act::ask("shell")});
      *rc::gen::arbitrary<bool>() ? client.notify(method, params)
                                  : (void)client.send(method, params);
      if (*rc::gen::arbitrary<bool>()) server.run();
      if (*rc::gen::arbitrary<bool>())
        client.answer(*rc::gen::inRange(0, 4), {{"outcome", session}});
      if (*rc::gen::arbitrary<bool>()) client.take();
    }
  }));
}
