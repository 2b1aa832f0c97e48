// What this machine enforces, for `sable doctor` and `sable sandbox explain`.
#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "runtime/terminal/style.h"
#include "sandbox/sandbox.h"

namespace sable::runtime {

/// [{name, state: "enforced"|"degraded"|"missing", detail, remedy, required}]
Json layers_to_json(const std::vector<sandbox::Layer>& layers);

/// A table, one layer a line, remedies below the lines that need one.
std::string layers_to_text(const std::vector<sandbox::Layer>& layers, const Style& style);

/// Whether every required layer is enforced.
bool all_required_enforced(const std::vector<sandbox::Layer>& layers);

}  // namespace sable::runtime
