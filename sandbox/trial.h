// One sandbox made and thrown away at the start, so that a machine that cannot enforce is known at
// once.
#pragma once

#include "sandbox/launcher_process.h"
#include "sandbox/plan.h"

namespace sable::sandbox {

/// Does everything that `plan` says except starting a program; blocks for some milliseconds.
/// Errors: unsupported (which step, which errno, what to do), io (the launcher died or does not
/// answer).
Result<void> try_out(const LauncherProcess& launcher, const Plan& plan);

}  // namespace sable::sandbox
