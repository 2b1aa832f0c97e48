// Whether a task was done: by what the repository holds afterwards, and by the facts of the answer.
#pragma once

#include <string>

#include "evaluation/made_task.h"

namespace sable::evaluation {

/// How an agent's turn ended.
struct TaskEnd {
  std::string status;  ///< of the turn: "finished", "limit", ...
  std::string answer;  ///< the model's last words
  Files files;         ///< of the repository
};

struct Verdict {
  bool passed = false;
  std::string why;  ///< when it is not: one sentence
  /// It passes if, and only if, the truth's check does: the mistake was corrected in other words.
  bool needs_check = false;
};

/// A pure function of its arguments.
Verdict judge(const MadeTask& task, const TaskEnd& end);

}  // namespace sable::evaluation
