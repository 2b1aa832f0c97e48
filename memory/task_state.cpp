#include "memory/task_state.h"

#include <algorithm>

#include <fmt/format.h>

namespace sable::memory {

namespace {

// A task is told in sentences; what is longer belongs in a file.
constexpr size_t kTextBytesMax = size_t{16} << 10;
constexpr size_t kIdBytesMax = 64;
constexpr size_t kTodosMax = 1000;
constexpr int kDepthMax = 8;

constexpr std::pair<TodoStatus, std::string_view> kStatuses[] = {
    {TodoStatus::open, "open"}, {TodoStatus::active, "active"},   {TodoStatus::blocked, "blocked"},
    {TodoStatus::done, "done"}, {TodoStatus::dropped, "dropped"},
};

Result<void> check_text(std::string_view what, std::string_view text, bool may_be_empty = false) {
  if (text.empty() && !may_be_empty) {
    return fail(ErrorCode::invalid_input, fmt::format("{} is empty", what));
  }
  if (text.size() > kTextBytesMax) {
    return fail(ErrorCode::invalid_input,
                fmt::format("{} of {} bytes is longer than {}", what, text.size(), kTextBytesMax));
  }
  return {};
}

std::vector<Todo>::iterator find_todo(std::vector<Todo>& todos, std::string_view id) {
  return std::find_if(todos.begin(), todos.end(), [&](const Todo& todo) { return todo.id == id; });
}

/// Number of ancestors, or kDepthMax + 1 when there are more or they run in a circle.
int depth_of(const TaskState& state, std::string_view id) {
  int depth = 0;
  for (const Todo* todo = state.find(id); todo && !todo->parent.empty() && depth <= kDepthMax;
       todo = state.find(todo->parent)) {
    ++depth;
  }
  return depth;
}

bool is_below(const TaskState& state, std::string_view id, std::string_view ancestor) {
  for (int i = 0; i <= kDepthMax + 1; ++i) {
    if (id == ancestor) return true;
    const Todo* todo = state.find(id);
    if (!todo || todo->parent.empty()) return false;
    id = todo->parent;
  }
  return true;
}

/// Parents first, siblings in the order in which they came.
void add_below(const std::vector<Todo>& todos, const std::string& parent, int depth,
               std::vector<Todo>& sorted) {
  if (depth > kDepthMax) return;
  for (const Todo& todo : todos) {
    if (todo.parent != parent) continue;
    sorted.push_back(todo);
    add_below(todos, todo.id, depth + 1, sorted);
  }
}

void apply_todo(TaskState& state, const Event& event) {
  const std::string id = string_or(event.data, "id", "");
  if (id.empty()) return;
  auto todo = find_todo(state.todos, id);
  if (todo == state.todos.end()) {
    if (state.todos.size() >= kTodosMax) return;
    todo = state.todos.insert(state.todos.end(), Todo{.id = id});
  }
  todo->text = string_or(event.data, "text", todo->text);
  todo->evidence = string_or(event.data, "evidence", todo->evidence);
  if (const auto status = parse_todo_status(string_or(event.data, "status", ""))) {
    todo->status = *status;
  }
  todo->changed = event.seq;
  const std::string parent = string_or(event.data, "parent", todo->parent);
  if (parent.empty() || (state.find(parent) && !is_below(state, parent, id))) {
    todo->parent = parent;
  }
  std::vector<Todo> sorted;
  sorted.reserve(state.todos.size());
  add_below(state.todos, "", 0, sorted);
  if (sorted.size() == state.todos.size()) state.todos = std::move(sorted);
}

}  // namespace

std::string_view name_of(TodoStatus status) {
  for (const auto& [value, name] : kStatuses) {
    if (value == status) return name;
  }
  return "open";
}

Result<TodoStatus> parse_todo_status(std::string_view text) {
  for (const auto& [value, name] : kStatuses) {
    if (name == text) return value;
  }
  return fail(ErrorCode::invalid_input,
              "status must be one of open, active, blocked, done and dropped");
}

bool TaskState::empty() const {
  return goal.empty() && todos.empty() && decisions.empty() && notes.empty();
}

const Todo* TaskState::find(std::string_view id) const {
  for (const Todo& todo : todos) {
    if (todo.id == id) return &todo;
  }
  return nullptr;
}

void apply_task_event(TaskState& state, const Event& event) {
  if (!event.data.is_object() || event.version > kEventVersion) return;
  if (event.type == "task.goal") {
    state.goal = string_or(event.data, "text", state.goal);
  } else if (event.type == "task.todo") {
    apply_todo(state, event);
  } else if (event.type == "task.decision") {
    state.decisions.push_back(
        {string_or(event.data, "text", ""), string_or(event.data, "reason", ""), event.seq});
  } else if (event.type == "task.note") {
    state.notes.push_back({string_or(event.data, "text", ""), event.seq});
  }
}

Result<NewEvent> set_goal(std::string text) {
  SABLE_TRY_VOID(check_text("the goal", text));
  return NewEvent{"task.goal", Json{{"text", std::move(text)}}};
}

Result<NewEvent> change_todo(const TaskState& state, TodoChange change) {
  SABLE_TRY_VOID(check_text("the id", change.id));
  if (change.id.size() > kIdBytesMax) {
    return fail(ErrorCode::invalid_input,
                fmt::format("an id is longer than {} bytes", kIdBytesMax));
  }
  const Todo* before = state.find(change.id);
  if (!before && !change.text) {
    return fail(ErrorCode::invalid_input,
                fmt::format("there is no todo \"{}\"; a new one needs a text", change.id));
  }
  if (!before && state.todos.size() >= kTodosMax) {
    return fail(ErrorCode::invalid_input, fmt::format("there are {} todos already", kTodosMax));
  }
  if (change.text) {
    SABLE_TRY_VOID(check_text("the text", *change.text));
  }
  if (change.evidence) {
    SABLE_TRY_VOID(check_text("the evidence", *change.evidence, /*may_be_empty=*/true));
  }
  if (change.parent && !change.parent->empty()) {
    if (!state.find(*change.parent)) {
      return fail(ErrorCode::invalid_input, fmt::format("there is no todo \"{}\"", *change.parent));
    }
    if (is_below(state, *change.parent, change.id)) {
      return fail(ErrorCode::invalid_input, "a todo cannot lie below itself");
    }
    if (depth_of(state, *change.parent) + 1 >= kDepthMax) {
      return fail(ErrorCode::invalid_input,
                  fmt::format("todos lie at most {} levels deep", kDepthMax));
    }
  }
  const auto evidence = change.evidence ? *change.evidence : before ? before->evidence : "";
  if (change.status == TodoStatus::done && evidence.empty()) {
    return fail(
        ErrorCode::invalid_input,
        fmt::format("todo \"{}\" cannot be done without evidence: say what shows it", change.id));
  }
  Json data{{"id", change.id}};
  if (change.parent) data["parent"] = *change.parent;
  if (change.text) data["text"] = *change.text;
  if (change.status) data["status"] = name_of(*change.status);
  if (change.evidence) data["evidence"] = *change.evidence;
  return NewEvent{"task.todo", std::move(data)};
}

Result<NewEvent> record_decision(std::string text, std::string reason) {
  SABLE_TRY_VOID(check_text("the decision", text));
  SABLE_TRY_VOID(check_text("the reason", reason, /*may_be_empty=*/true));
  return NewEvent{"task.decision", Json{{"text", std::move(text)}, {"reason", std::move(reason)}}};
}

Result<NewEvent> add_task_note(std::string text) {
  SABLE_TRY_VOID(check_text("the note", text));
  return NewEvent{"task.note", Json{{"text", std::move(text)}}};
}

Json to_json(const TaskState& state) {
  Json json{{"goal", state.goal},
            {"todos", Json::array()},
            {"decisions", Json::array()},
            {"notes", Json::array()}};
  for (const Todo& todo : state.todos) {
    json["todos"].push_back({{"id", todo.id},
                             {"parent", todo.parent},
                             {"text", todo.text},
                             {"status", name_of(todo.status)},
                             {"evidence", todo.evidence},
                             {"changed", todo.changed}});
  }
  for (const Decision& decision : state.decisions) {
    json["decisions"].push_back(
        {{"text", decision.text}, {"reason", decision.reason}, {"seq", decision.seq}});
  }
  for (const TaskNote& note : state.notes) {
    json["notes"].push_back({{"text", note.text}, {"seq", note.seq}});
  }
  return json;
}

std::string render_tasks(const TaskState& state) {
  std::string text;
  if (!state.goal.empty()) text += "# Goal\n" + state.goal + "\n";
  if (!state.todos.empty()) text += "# Todo\n";
  for (const Todo& todo : state.todos) {
    const auto depth = static_cast<size_t>(depth_of(state, todo.id));
    text += fmt::format("{}- [{}] {}: {}\n", std::string(2 * depth, ' '), name_of(todo.status),
                        todo.id, todo.text);
    if (!todo.evidence.empty()) {
      text += fmt::format("{}  evidence: {}\n", std::string(2 * depth, ' '), todo.evidence);
    }
  }
  if (!state.decisions.empty()) text += "# Decisions\n";
  for (const Decision& decision : state.decisions) {
    text += "- " + decision.text + "\n";
    if (!decision.reason.empty()) text += "  because: " + decision.reason + "\n";
  }
  if (!state.notes.empty()) text += "# Notes\n";
  for (const TaskNote& note : state.notes) text += "- " + note.text + "\n";
  return text;
}

}  // namespace sable::memory
