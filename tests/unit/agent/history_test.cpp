#include "agent/history.h"

#include <catch2/catch.hpp>

#include "agent/agent.h"
#include "agent/events.h"
#include "agent/recovery.h"

using namespace sable;
using namespace sable::agent;

namespace {

std::vector<memory::Event> numbered(std::vector<memory::NewEvent> fresh) {
  std::vector<memory::Event> events;
  for (auto& event : fresh) {
    events.push_back({.session = "s",
                      .seq = events.size() + 1,
                      .type = event.type,
                      .version = event.version,
                      .data = event.data});
  }
  return events;
}

Reply reply_with_calls() {
  Reply reply{.text = "Let me look.", .reasoning = "why"};
  reply.tool_calls = {{"c1", "ls", "{}"}, {"c2", "cat", "{}"}};
  reply.replay = Json{{"ids", {1, 2}}};
  return reply;
}

}  // namespace

TEST_CASE("the log gives back the conversation, message by message") {
  const auto events = numbered(
      {events::context_built("S", {{"ls", "Lists", Json::object()}}, Json::array()),
       events::turn_started(1, "do it"), events::model_finished(1, 1, reply_with_calls(), {}),
       events::tool_outcome("c1", "ls", "ok", "a.c", {}, Json::object()),
       events::tool_outcome("c2", "cat", "failed", "no", {}, Json::object()),
       events::model_finished(1, 2, Reply{.text = "Done."}, {}),
       events::turn_ended(1, "finished", "", {}, {}, 2, 2, {})});
  const auto messages = messages_from(events);
  REQUIRE(messages);
  REQUIRE(messages->size() == 6);
  CHECK((*messages)[0].role == Role::system);
  CHECK((*messages)[1].text == "do it");
  CHECK((*messages)[2].tool_calls == reply_with_calls().tool_calls);
  CHECK((*messages)[2].reasoning == "why");
  CHECK((*messages)[2].replay == reply_with_calls().replay);
  CHECK((*messages)[3].tool_call_id == "c1");
  CHECK((*messages)[4].text == "no");
  CHECK((*messages)[5].text == "Done.");

  History history;
  for (const auto& event : events) REQUIRE(history.take(event));
  CHECK_FALSE(history.turn_open());
  CHECK(history.open_calls().empty());
  CHECK(history.n_turns() == 1);
}

TEST_CASE("a log that breaks off shows its open turn and its calls without outcome") {
  History history;
  for (const auto& event : numbered({events::context_built("S", {}, Json::array()),
                                     events::turn_started(1, "x"),
                                     events::model_finished(1, 1, reply_with_calls(), {}),
                                     events::tool_outcome("c1", "ls", "ok", "", {}, Json::object()),
                                     {"a.type.of.the.future", Json{{"any", 1}}}})) {
    REQUIRE(history.take(event));
  }
  CHECK(history.turn_open());
  REQUIRE(history.open_calls().size() == 1);
  CHECK(history.open_calls()[0].id == "c2");
  CHECK(history.knows_call("c1"));
}

TEST_CASE("after a crash only a call that was started has an unknown outcome") {
  const auto events = numbered(
      {events::turn_started(1, "do it"), events::model_finished(1, 1, reply_with_calls(), {}),
       events::approval_decided("c1", "ls", true, "tool", ""), events::tool_started("c1", "ls")});
  const auto statuses = [&](size_t n_events) {
    History history;
    for (size_t i = 0; i < n_events; ++i) REQUIRE(history.take(events[i]));
    std::vector<std::string> found;
    for (const auto& repair : events_of_recovery(history)) {
      found.push_back(string_or(repair.data, "call_id", "turn") + " " +
                      string_or(repair.data, "status", ""));
    }
    return found;
  };
  using Statuses = std::vector<std::string>;
  CHECK(statuses(2) == Statuses{"c1 cancelled", "c2 cancelled", "turn interrupted"});
  CHECK(statuses(3) == Statuses{"c1 cancelled", "c2 cancelled", "turn interrupted"});
  CHECK(statuses(4) == Statuses{"c1 unknown", "c2 cancelled", "turn interrupted"});
}

TEST_CASE("where a fork or a repair cut the log, no call is said not to have run") {
  for (const char* cut : {"session.forked", "session.recovered"}) {
    History history;
    for (const auto& event : numbered({events::turn_started(1, "do it"),
                                       events::model_finished(1, 1, reply_with_calls(), {}),
                                       {cut, Json::object()}})) {
      REQUIRE(history.take(event));
    }
    for (const auto& call : history.open_calls()) CHECK(history.may_have_run(call.id));
    CHECK(string_or(events_of_recovery(history).front().data, "status", "") == "unknown");
  }
}

TEST_CASE("an event without its fields is reported with its number") {
  History history;
  const auto taken =
      history.take({.session = "s_9", .seq = 4, .type = "turn.started", .data = Json::object()});
  REQUIRE_FALSE(taken);
  CHECK(taken.error().code == ErrorCode::corrupt);
  CHECK(taken.error().message ==
        "session s_9, event 4 (turn.started): field \"prompt\" is missing or not a string");
}

TEST_CASE("text that is not UTF-8 cannot enter the log") {
  const auto event = events::turn_started(1, "a\xFF");
  CHECK(event.data["prompt"] == "a\xEF\xBF\xBD");
}
