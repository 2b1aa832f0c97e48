// What protection the user does without: said wherever people look.
#pragma once

#include <string>
#include <vector>

#include "runtime/config/config.h"
#include "sandbox/sandbox.h"

namespace sable::runtime {

/// One sentence for each opt-out that holds for commands under this policy; empty when there is
/// none.
std::vector<std::string> opt_outs(const config::LoadedConfig& loaded,
                                  const sandbox::Policy& policy);

/// The same on standard error, a line each.
void warn_of(const std::vector<std::string>& opt_outs);

}  // namespace sable::runtime
