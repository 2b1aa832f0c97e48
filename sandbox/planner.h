// From a policy and a command to a plan: every decision about the view, the rights, the limits and
// the environment is made here, without side effects.
#pragma once

#include "sandbox/host.h"
#include "sandbox/plan.h"
#include "sandbox/protected_paths.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

/// The sandbox of a policy; `filters` stay empty (seccomp_filter.h makes them). `held` are the
/// protected paths below the writable roots. Errors: invalid_input (a path of the policy),
/// unsupported (this host cannot bound it).
Result<Plan> make_plan(const Policy& policy, const Host& host, const ProtectedPaths& held = {});

/// Adds a terminal for the program.
void give_terminal(Plan& plan);

/// What runs in it. Errors: invalid_input (an empty command, a NUL, a bad variable name).
Result<Execution> make_execution(const Policy& policy, const Command& command, const Host& host);

/// Where a proxy listens inside: below 1024, so that no program of the call can take its place.
inline constexpr uint16_t kProxyPort = 808;

/// What every command is given besides the policy's own variables; those win over these.
std::map<std::string, std::string> fixed_environment();

}  // namespace sable::sandbox
