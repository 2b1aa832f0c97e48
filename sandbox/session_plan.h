// One plan of a policy in two: what the calls of a session share, and what each has for itself.
#pragma once

#include "base/result.h"
#include "sandbox/plan.h"
#include "sandbox/protected_paths.h"

namespace sable::sandbox {

/// What the session's keeper makes: the view without any call's own folders.
Plan keeper_plan(const Plan& whole);

/// What a call adds to the view that was made from `shared`: its own folders, and the protected
/// paths `held` that have appeared or were replaced since. Errors: invalid_input (a granted folder
/// is another one now: the session must be opened anew).
Result<Plan> worker_plan(const Plan& shared, Plan now, const ProtectedPaths& held);

}  // namespace sable::sandbox
