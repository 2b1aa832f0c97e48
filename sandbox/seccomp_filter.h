// The system calls of a sandboxed program, compiled with libseccomp to the bytes that the kernel
// takes.
#pragma once

#include "base/result.h"
#include "sandbox/plan.h"
#include "sandbox/sandbox.h"

namespace sable::sandbox {

/// Two programs, both in force: the first knows every call by number (what it does not know gets
/// ENOSYS, so that a call of a newer kernel is refused and libc falls back), the second looks at
/// arguments. The kernel takes the stricter answer. Deterministic; costs about a millisecond, so
/// callers keep it.
Result<std::vector<Filter>> make_filters(Network network);

}  // namespace sable::sandbox
