// Values and schemas in words, for violations that a model can act on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "tools/schema.h"

namespace sable::tools {

/// The beginning of a value, safe to show.
std::string shown(const Json& value);
/// "an integer", "an object", ...
std::string_view type_name(const Json& value);
/// "a string or null"; `types` is a set of SchemaNode::Type.
std::string types_in_words(uint8_t types);
/// "one of 1, 2, 3"; the value itself when it is the only one.
std::string values_in_words(const std::vector<Json>& values);

}  // namespace sable::tools
