// An argument as text: what a command line gets, and what approval rules are matched on.
#pragma once

#include <string>

#include "base/json.h"

namespace sable::tools {

/// A string as it is; a whole number in digits alone, however it was written ("1000" for 1000.0 and
/// 1e3); everything else as JSON.
std::string argument_text(const Json& value);

/// `arguments` with the `defaults` of those that are absent.
Json with_defaults(Json arguments, const Json& defaults);

}  // namespace sable::tools
