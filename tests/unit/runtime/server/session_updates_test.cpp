#include "runtime/server/session_updates.h"

#include <catch2/catch.hpp>

#include "base/text.h"

using namespace sable;
using namespace sable::runtime;

namespace {

memory::Event event(const std::string& type, Json data) {
  memory::Event result;
  result.session = "s";
  result.type = type;
  result.data = std::move(data);
  return result;
}

std::string text_in(const std::vector<Json>& updates) {
  std::string text;
  for (const auto& update : updates) text += update["content"]["text"].get<std::string>();
  return text;
}

Json finished(const std::string& text) { return {{"step", 1}, {"text", text}, {"reasoning", ""}}; }

}  // namespace

TEST_CASE("without previews the event tells the whole reply; with them only the rest") {
  SessionUpdates updates("s", "/repo");
  updates.on_event(event("model.requested", {{"step", 1}}), true);
  CHECK(text_in(updates.on_event(event("model.finished", finished("all")), true)) == "all");
  updates.on_event(event("model.requested", {{"step", 1}}), true);
  CHECK(updates.on_preview({.step = 1, .text = "on"}));
  CHECK(updates.on_preview({.step = 1, .text = "e "}));
  CHECK(text_in(updates.on_event(event("model.finished", finished("one two")), true)) == "two");
  updates.on_event(event("model.requested", {{"step", 1}}), true);
  CHECK(updates.on_preview({.step = 1, .text = "same"}));
  CHECK(updates.on_event(event("model.finished", finished("same")), true).empty());
}

TEST_CASE("previews of a step whose beginning was not seen are not shown") {
  SessionUpdates updates("s", "/repo");
  CHECK_FALSE(updates.on_preview({.step = 1, .text = "iddle"}));
  updates.on_event(event("model.requested", {{"step", 2}}), true);
  CHECK_FALSE(updates.on_preview({.step = 1, .text = "late"}));
  updates.previews_missed();
  CHECK_FALSE(updates.on_preview({.step = 2, .text = "x"}));
  CHECK(text_in(updates.on_event(event("model.finished", finished("whole")), true)) == "whole");
}

TEST_CASE("after a restart the reply is another message") {
  SessionUpdates updates("s", "/repo");
  updates.on_event(event("model.requested", {{"step", 1}}), true);
  const auto first = updates.on_preview({.step = 1, .text = "bro"});
  updates.on_preview({.kind = agent::Preview::Kind::restarted, .step = 1, .text = "why"});
  const auto second = updates.on_preview({.step = 1, .text = "whole"});
  REQUIRE((first && second));
  const Json::json_pointer id("/params/update/messageId");
  CHECK(first->message[id] != second->message[id]);
  CHECK(updates.on_event(event("model.finished", finished("whole")), true).empty());
}

TEST_CASE("a running command's output is shown as a bounded tail") {
  SessionUpdates updates("s", "/repo");
  std::optional<Outbox::Preview> last;
  for (int i = 0; i < 1000; ++i) {
    last = updates.on_preview({.kind = agent::Preview::Kind::tool_output,
                               .step = 1,
                               .call_id = "c",
                               .text = "Zeile " + std::to_string(i) + " äöü\n"});
  }
  REQUIRE(last);
  CHECK(last->replaces);
  CHECK(last->text.size() <= 4096);
  CHECK(last->text.starts_with("Zeile "));
  CHECK(last->text.ends_with("999 äöü\n"));
}

TEST_CASE("a call that never ran, or that the log begins after, is told as failed") {
  SessionUpdates updates("s", "/repo");
  const auto told = updates.on_event(
      event("tool.outcome",
            {{"call_id", "c"}, {"name", "x"}, {"status", "invalid"}, {"text", "no such tool"}}),
      true);
  REQUIRE(told.size() == 2);
  CHECK(told[0]["sessionUpdate"] == "tool_call");
  CHECK(told[1]["status"] == "failed");
  CHECK(told[1]["content"][0]["content"]["text"] == "no such tool");
}

TEST_CASE("arguments that are no JSON are shown as they are; titles are one inert line") {
  SessionUpdates updates("s", "/repo");
  Json data = finished("");
  data["tool_calls"] = Json::array(
      {{{"id", "a"}, {"name", "read_file"}, {"arguments", "{bro"}},
       {{"id", "b"}, {"name", "shell"}, {"arguments", R"({"command":"\u001b[31mx\nrm -rf"})"}},
       {{"id", "c"}, {"name", "read_file"}, {"arguments", R"({"path":"../a"})"}}});
  const auto told = updates.on_event(event("model.finished", data), true);
  REQUIRE(told.size() == 3);
  CHECK(told[0]["rawInput"] == "{bro");
  CHECK(told[0]["kind"] == "read");
  CHECK(told[1]["title"].get<std::string>().find('\x1b') == std::string::npos);
  CHECK(told[1]["title"].get<std::string>().find("rm") == std::string::npos);
  CHECK(told[2]["locations"][0]["path"] == "/a");
}

TEST_CASE("what holds already is shown once, and again only when it is otherwise") {
  SessionUpdates updates("s", "/repo");
  const std::vector<std::string> none, bare{"NO SANDBOX"};
  CHECK_FALSE(updates.opt_outs(none));
  const auto told = updates.opt_outs(bare);
  REQUIRE(told);
  CHECK((*told)["content"]["text"] == "NO SANDBOX\n");
  CHECK_FALSE(updates.opt_outs(bare));
  CHECK(updates.on_event(event("opt_outs.changed", {{"opt_outs", bare}}), true).empty());
  const auto over = updates.on_event(event("opt_outs.changed", {{"opt_outs", none}}), true);
  REQUIRE(over.size() == 1);
  CHECK(over[0]["_meta"]["sable"]["opt_outs"] == Json::array());
}

TEST_CASE("a rewind makes the plan stale too, and the same plan is not sent twice") {
  SessionUpdates updates("s", "/repo");
  memory::TaskState tasks;
  CHECK_FALSE(updates.plan(tasks));
  tasks.todos.push_back({.id = "1", .text = "build"});
  updates.on_event(event("task.todo", {{"id", "1"}}), true);
  CHECK(updates.plan_is_stale());
  CHECK(updates.plan(tasks));
  CHECK_FALSE(updates.plan_is_stale());
  CHECK_FALSE(updates.plan(tasks));
  updates.on_event(event(memory::kRewound, {{"to", 1}}), true);
  CHECK(updates.plan_is_stale());
  const auto gone = updates.plan({});
  REQUIRE(gone);
  CHECK((*gone)["entries"] == Json::array());
}

TEST_CASE("a plan carries goal, decisions and notes; a goal alone is no plan") {
  SessionUpdates updates("s", "/repo");
  memory::TaskState tasks{.goal = "ship it"};
  updates.on_event(event("task.goal", {{"text", "ship it"}}), true);
  CHECK_FALSE(updates.plan(tasks));
  tasks.decisions.push_back({.text = "use zlib", .reason = "it is there"});
  tasks.notes.push_back({.text = "the tests are slow"});
  for (const char* type : {"task.decision", "task.note"}) {
    updates.on_event(event(type, {{"text", "x"}}), true);
    CHECK(updates.plan_is_stale());
  }
  const auto plan = updates.plan(tasks);
  REQUIRE(plan);
  CHECK((*plan)["entries"] == Json::array());
  const Json& told = (*plan)["_meta"]["sable"];
  CHECK(told["goal"] == "ship it");
  CHECK(told["decisions"][0]["text"] == "use zlib");
  CHECK(told["decisions"][0]["reason"] == "it is there");
  CHECK(told["notes"][0]["text"] == "the tests are slow");
  CHECK_FALSE(updates.plan(tasks));
  tasks.goal = "ship it tomorrow";
  CHECK(updates.plan(tasks));
}

TEST_CASE("events with missing or odd fields lead to something valid or to nothing") {
  SessionUpdates updates("s", "/repo");
  for (const char* type :
       {"session.started", "opt_outs.changed", "tools.changed", "turn.started", "model.requested",
        "model.finished", "tool.started", "tool.outcome", "x"}) {
    for (const Json& data : {Json::object(), Json(), Json(1), Json::array(),
                             Json{{"details", 1}, {"opt_outs", {1}}, {"notice", 1}},
                             Json{{"step", "x"}, {"tool_calls", {1, nullptr}}, {"changes", {1}}}}) {
      INFO(type << " " << dump_json(data));
      for (const auto& update : updates.on_event(event(type, data), true))
        CHECK(update.contains("sessionUpdate"));
    }
  }
}
