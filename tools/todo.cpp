// todo: the goal of a session, its steps as a tree, and what was decided; kept in the session's
// log.
#include "base/text.h"
#include "tools/builtins.h"

namespace sable::tools {

namespace {

std::optional<std::string> text_if_given(const Json& object, const char* name) {
  const auto it = object.find(name);
  if (it == object.end() || !it->is_string()) return std::nullopt;
  return it->get<std::string>();
}

TaskUpdate update_from(const Json& arguments) {
  TaskUpdate update{.goal = text_if_given(arguments, "goal"),
                    .note = text_if_given(arguments, "note")};
  if (const auto items = arguments.find("items"); items != arguments.end()) {
    for (const auto& item : *items) {
      update.items.push_back({.id = text_argument(item, "id"),
                              .parent = text_if_given(item, "parent"),
                              .text = text_if_given(item, "text"),
                              .status = text_if_given(item, "status"),
                              .evidence = text_if_given(item, "evidence")});
    }
  }
  if (const auto made = arguments.find("decision"); made != arguments.end()) {
    update.decision = {.text = text_argument(*made, "text"),
                       .reason = text_argument(*made, "reason")};
  }
  return update;
}

class TodoRunner : public Runner {
 public:
  asio::awaitable<Result<Outcome>> run(Call call, CallContext context) const override {
    if (context.session == nullptr) co_return failed("a todo list is kept only in a session");
    auto list = context.session->change_tasks(update_from(call.arguments));
    if (!list) co_return failed(list.error().message + "; nothing was changed");
    co_return Outcome{.text = list->empty() ? "[the list is empty]\n" : std::move(*list)};
  }
};

}  // namespace

Tool todo_tool() {
  return make_builtin(
      "todo",
      "Keeps the goal of the session and its steps, a tree of items with status and evidence, and "
      "shows the whole list. It outlasts everything that is forgotten in a long session. Give only "
      "what changes; without arguments it shows the list. Keep one item active; an item is done "
      "only with evidence, such as the command that showed it.",
      R"({
        "type": "object",
        "properties": {
          "goal": {"type": "string", "minLength": 1, "maxLength": 4000,
                   "description": "what the session is for"},
          "items": {
            "type": "array", "maxItems": 100,
            "items": {
              "type": "object",
              "properties": {
                "id": {"type": "string", "minLength": 1, "maxLength": 40,
                       "description": "your name for it: 1, 1.2, tests"},
                "text": {"type": "string", "minLength": 1, "maxLength": 2000,
                         "description": "what is to be done; a new item needs it"},
                "parent": {"type": "string", "maxLength": 40,
                           "description": "the item that it is a part of; empty for none"},
                "status": {"enum": ["open", "active", "blocked", "done", "dropped"]},
                "evidence": {"type": "string", "maxLength": 2000,
                             "description": "why the status is true"}
              },
              "required": ["id"],
              "additionalProperties": false
            },
            "description": "items to add or change"
          },
          "decision": {
            "type": "object",
            "properties": {
              "text": {"type": "string", "minLength": 1, "maxLength": 2000},
              "reason": {"type": "string", "minLength": 1, "maxLength": 2000}
            },
            "required": ["text", "reason"],
            "additionalProperties": false,
            "description": "a decision to remember"
          },
          "note": {"type": "string", "minLength": 1, "maxLength": 2000,
                   "description": "a fact to remember"}
        },
        "additionalProperties": false
      })",
      Effect::none, std::make_unique<TodoRunner>());
}

}  // namespace sable::tools
