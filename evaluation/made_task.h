// One task of a family: a repository that nobody has seen, a request, and the truth.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "evaluation/stage.h"
#include "evaluation/tasks.h"
#include "evaluation/truth.h"

namespace sable::evaluation {

/// What families of made tasks there are, in the order in which people read them.
std::span<const std::string_view> families();

struct MadeTask {
  std::string name;  ///< "find-12": with the seed, the same task everywhere
  std::string family, instruction;
  std::string repository;  ///< its name
  Files before;
  Truth truth;
};

/// Whether a family's tasks can be asked for on code that was not made for them; `fix`, `run` and
/// `refuse` make theirs.
bool takes_real_code(std::string_view family);

/// Makes task `number` of a family in a world. What is true is found out by the task's teacher, who
/// plays it on the bench with the real tools. Blocks for a second or so. Errors: invalid_input (no
/// such family); those of the bench; exhausted when the teacher cannot play here (no Python, no
/// compiler, no ripgrep; code without anything of the kind).
Result<MadeTask> make_task(std::string_view family, uint64_t seed, size_t number,
                           const World& world, Workbench& bench);

}  // namespace sable::evaluation
