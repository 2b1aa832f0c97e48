// Tasks that users write: folders with an instruction, a repository and a check.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace sable::evaluation {

/// docs/evaluation.md says what lies in it.
struct TaskFolder {
  std::string name;              ///< the folder's
  std::filesystem::path folder;  ///< absolute
  std::string instruction;       ///< instruction.md, without white space around it
  std::string check;             ///< check.sh
  std::filesystem::path repository() const { return folder / "repository"; }
};

/// The tasks of a folder, by name: one for each folder in it, or the one that it is itself. Errors
/// (invalid_input, not_found) name the task and what is wrong with it.
Result<std::vector<TaskFolder>> read_task_folders(const std::filesystem::path& folder);

/// A fresh copy of the task's repository in `to`, which must not exist; committed, unless it is a
/// git repository already.
Result<void> copy_repository(const TaskFolder& task, const std::filesystem::path& to);

}  // namespace sable::evaluation
