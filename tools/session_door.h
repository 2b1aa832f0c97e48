// What a call may ask of the session that it is part of. A session implements it; calls by hand
// have none.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/asio.h"
#include "base/result.h"

namespace sable::tools {

/// What a call asks of a person.
struct Question {
  std::string text;
  std::vector<std::string> choices;  ///< empty: an answer in the person's own words
  std::string diff = {};             ///< unified and inert: what it is about, if that is changes
};

/// What a call changes of a session's goal, todos, decisions and notes; what is absent stays.
struct TaskUpdate {
  struct Item {
    std::string id;
    std::optional<std::string> parent, text, status, evidence;
  };
  struct Decision {
    std::string text, reason;
  };
  std::optional<std::string> goal;
  std::vector<Item> items;  ///< in order: a parent before its children
  std::optional<Decision> decision;
  std::optional<std::string> note;
};

/// Borrowed for the time of a call. Errors are written for the model.
class SessionDoor {
 public:
  virtual ~SessionDoor() = default;

  /// Puts a question to whoever watches the session and returns the answer. denied: nobody can be
  /// asked, or nobody answered.
  virtual asio::awaitable<Result<std::string>> ask(Question question) = 0;

  /// Makes all of `update` or nothing of it part of what the call leaves in the session's log, and
  /// returns the whole list as the model reads it. invalid_input: what is wrong with which item.
  virtual Result<std::string> change_tasks(const TaskUpdate& update) = 0;

  /// The whole output of an earlier call of this session, by the id that its result named.
  /// not_found: the ids there are.
  virtual asio::awaitable<Result<std::string>> kept_output(std::string id) = 0;
};

}  // namespace sable::tools
