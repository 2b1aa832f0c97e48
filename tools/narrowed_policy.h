// A session's policy, narrowed to what a profile allows as well.
#pragma once

#include "sandbox/sandbox.h"

namespace sable::tools {

/// What both allow: the smaller limits, the stricter network and its common hosts, the paths that
/// are readable in both, everything that one of them masks, changes kept apart if one of them
/// keeps them so. Writable roots, their transactions and the environment stay those of `policy`;
/// the name is the profile's.
sandbox::Policy narrowed_to(sandbox::Policy policy, const sandbox::Policy& profile);

}  // namespace sable::tools
