// What the tools answer to a fixed row of calls: a model that was trained on such texts needs them
// to stay as they are.
#pragma once

#include <string>

#include "evaluation/workbench.h"

namespace sable::evaluation {

/// Every call with its result, as a model reads it; seconds are left out. The same on every machine
/// with the same tools. Blocks. Errors: those of the bench.
Result<std::string> golden_tool_results(Workbench& bench);

}  // namespace sable::evaluation
