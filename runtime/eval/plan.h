// Which tasks an evaluation asks for: made families and folders of users.
#pragma once

#include <string>
#include <vector>

#include "evaluation/evaluation.h"

namespace sable::runtime {

/// One task that is to be done: a made one, by its number, or a user's.
struct PlannedTask {
  std::string family;
  size_t number = 0;
  std::optional<evaluation::TaskFolder> folder;
};

/// `tasks`: names of families and paths of folders (which have a "/", or exist); none: all
/// families. `count` tasks of each family, taken in turn so that an early end has some of each;
/// each folder's tasks once. With `real_code`, all families are those that can be asked for on it.
/// Errors: not_found names the nearest family; invalid_input for a family that makes its own code
/// when it is to be real; those of read_task_folders().
Result<std::vector<PlannedTask>> plan_tasks(const std::vector<std::string>& tasks, size_t count,
                                            bool real_code);

}  // namespace sable::runtime
