// What a session is after: goal, todo tree with status and evidence, decisions, notes. Kept as
// events, so it survives compaction word for word, and rebuilt from them by a pure function.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "memory/event.h"

namespace sable::memory {

enum class TodoStatus { open, active, blocked, done, dropped };

std::string_view name_of(TodoStatus status);
Result<TodoStatus> parse_todo_status(std::string_view text);

struct Todo {
  std::string id;      ///< chosen by whoever writes it: "2", "2.1", "tests"
  std::string parent;  ///< id of another one, or empty
  std::string text;
  TodoStatus status = TodoStatus::open;
  std::string evidence;  ///< why the status is true: a command and its result, a file
  Seq changed = 0;       ///< the event that last touched it
};

struct Decision {
  std::string text, reason;
  Seq seq = 0;
};

struct TaskNote {
  std::string text;
  Seq seq = 0;
};

struct TaskState {
  std::string goal;
  std::vector<Todo> todos;  ///< a parent before its children, siblings in the order they came
  std::vector<Decision> decisions;
  std::vector<TaskNote> notes;

  bool empty() const;
  const Todo* find(std::string_view id) const;
};

/// Folds one event into the state; other types and data of an unexpected shape change nothing.
void apply_task_event(TaskState& state, const Event& event);

// Events that change the state. Errors (invalid_input) are for the model: what is wrong with what.

Result<NewEvent> set_goal(std::string text);

/// What of a todo is given; the rest stays, or is the default of a new one.
struct TodoChange {
  std::string id;
  std::optional<std::string> parent, text, evidence;
  std::optional<TodoStatus> status;
};
/// `done` needs evidence. A new one needs a text.
Result<NewEvent> change_todo(const TaskState& state, TodoChange change);
Result<NewEvent> record_decision(std::string text, std::string reason);
Result<NewEvent> add_task_note(std::string text);

/// {goal, todos, decisions, notes}.
Json to_json(const TaskState& state);

/// The same as Markdown for people and models, every text whole; empty when the state is.
std::string render_tasks(const TaskState& state);

}  // namespace sable::memory
