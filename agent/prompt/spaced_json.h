// JSON on one line as V4 prompts write it: a blank behind every comma and colon.
#pragma once

#include <string>

#include "base/json.h"

namespace sable::agent {

/// `{"a": [1, 2], "b": "é"}`: keys in their order, nothing but what JSON demands escaped; invalid
/// UTF-8 becomes U+FFFD. Deeper than parse_json() allows must not come.
std::string spaced_json(const Json& value);

}  // namespace sable::agent
