#include <catch2/catch.hpp>

#include "memory/memory.h"

using namespace sable;
using namespace sable::memory;

namespace {

/// A session's task state with the events that made it.
class Tasks {
 public:
  Result<void> take(Result<NewEvent> fresh) {
    if (!fresh) return fail(fresh.error());
    events.push_back(
        {.session = "s", .seq = events.size() + 1, .type = fresh->type, .data = fresh->data});
    apply_task_event(state, events.back());
    return {};
  }
  Result<void> todo(TodoChange change) { return take(change_todo(state, std::move(change))); }

  TaskState state;
  std::vector<Event> events;
};

}  // namespace

TEST_CASE("goal, todos, decisions and notes are rebuilt word for word from their events") {
  Tasks tasks;
  const std::string odd = "line one\n\tline two \"quoted\" \xC3\xA9";
  REQUIRE(tasks.take(set_goal(odd)));
  REQUIRE(tasks.todo({.id = "1", .text = "find the bug"}));
  REQUIRE(tasks.todo({.id = "2", .text = "fix it"}));
  REQUIRE(tasks.todo({.id = "1.1", .parent = "1", .text = odd}));
  REQUIRE(
      tasks.todo({.id = "1", .evidence = "test_a fails at line 7", .status = TodoStatus::done}));
  REQUIRE(tasks.take(record_decision("use a map", "keys are few")));
  REQUIRE(tasks.take(add_task_note("the build needs ninja")));

  TaskState again;
  for (const auto& event : tasks.events) apply_task_event(again, event);
  CHECK(to_json(again) == to_json(tasks.state));
  REQUIRE(again.todos.size() == 3);
  CHECK(again.goal == odd);
  CHECK(again.todos[0].id == "1");
  CHECK(again.todos[0].status == TodoStatus::done);
  CHECK(again.todos[0].text == "find the bug");
  CHECK(again.todos[1].id == "1.1");
  CHECK(again.todos[1].text == odd);
  CHECK(again.todos[2].id == "2");
  const auto text = render_tasks(again);
  for (const auto* part : {"find the bug", "test_a fails at line 7", "use a map", "keys are few",
                           "the build needs ninja", "  - [open] 1.1: "}) {
    CHECK(text.find(part) != std::string::npos);
  }
  CHECK(text.find(odd) != std::string::npos);
}

TEST_CASE("a todo is done only with evidence, new only with a text, and never below itself") {
  Tasks tasks;
  CHECK_FALSE(tasks.todo({.id = "1", .status = TodoStatus::active}));
  REQUIRE(tasks.todo({.id = "1", .text = "a"}));
  REQUIRE(tasks.todo({.id = "2", .parent = "1", .text = "b"}));
  CHECK_FALSE(tasks.todo({.id = "1", .status = TodoStatus::done}));
  CHECK_FALSE(tasks.todo({.id = "1", .evidence = "", .status = TodoStatus::done}));
  CHECK_FALSE(tasks.todo({.id = "1", .parent = "1"}));
  CHECK_FALSE(tasks.todo({.id = "1", .parent = "2"}));
  CHECK_FALSE(tasks.todo({.id = "3", .parent = "nobody", .text = "c"}));
  CHECK_FALSE(tasks.todo({.id = "", .text = "c"}));
  CHECK_FALSE(tasks.todo({.id = "3", .text = ""}));
  CHECK_FALSE(tasks.todo({.id = "3", .text = std::string(20'000, 'x')}));
  CHECK_FALSE(set_goal(""));
  CHECK(tasks.state.todos.size() == 2);
}

TEST_CASE("events of a strange shape change nothing and break nothing") {
  TaskState state;
  for (const auto* text :
       {"null", "[]", "{}", R"({"id":1})", R"({"id":"a","status":"burnt"})",
        R"({"id":"b","parent":"b"})", R"({"id":"c","parent":"a"})", R"({"id":"a","parent":"c"})"}) {
    const auto data = parse_json(text);
    REQUIRE(data);
    for (const auto* type : {"task.todo", "task.goal", "turn.started"}) {
      apply_task_event(state, {.session = "s", .seq = 1, .type = type, .data = *data});
    }
  }
  CHECK(state.todos.size() == 3);
  CHECK(state.find("a")->parent.empty());
  CHECK_FALSE(render_tasks(state).empty());
}

TEST_CASE("after a rewind the events up to its target and those after it are in force") {
  using Ranges = std::vector<EventRange>;
  CHECK(events_in_force({}, 9) == Ranges{{1, 9}});
  CHECK(events_in_force({}, 0).empty());
  CHECK(events_in_force({{10, 4}}, 9) == Ranges{{1, 9}});
  CHECK(events_in_force({{10, 4}}, 12) == Ranges{{1, 4}, {10, 12}});
  // Undone: back to just before the rewind.
  CHECK(events_in_force({{10, 4}, {13, 9}}, 15) == Ranges{{1, 9}, {13, 15}});
  // Back into what follows a rewind.
  CHECK(events_in_force({{10, 4}, {20, 11}}, 21) == Ranges{{1, 4}, {10, 11}, {20, 21}});
}

TEST_CASE("a rewind that does not go back is no rewind") {
  for (const auto& data : {Json{{"to", 5}}, Json{{"to", 9}}, Json{{"to", 0}}, Json{{"to", -1}},
                           Json{{"to", "4"}}, Json::object(), Json()}) {
    CHECK(rewind_from({.session = "s", .seq = 5, .type = kRewound, .data = data}).at == 0);
  }
  CHECK(rewind_from({.session = "s", .seq = 5, .type = kRewound, .data = {{"to", 4u}}}).to == 4);
}
