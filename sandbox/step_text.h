// A failed step as a sentence: what failed, why that usually is, and what the reader can do.
#pragma once

#include "base/result.h"
#include "sandbox/plan.h"
#include "sandbox/wire.h"

namespace sable::sandbox {

/// "mount_process_folder": for logs and messages.
std::string_view name_of(Step step);

/// The error of a call whose set-up or start failed. `plan` names the path at fault.
Error explain_failure(const StatusMessage& failure, const Plan& plan,
                      const Execution& execution = {});

}  // namespace sable::sandbox
