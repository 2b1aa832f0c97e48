// What the keywords of a schema may hold, one function a kind of value. Errors (invalid_input) tell
// what was expected and what came.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tools/decimal.h"
#include "tools/pattern.h"
#include "tools/schema.h"

namespace sable::tools {

Result<void> read_types(const Json& value, SchemaNode& node);
/// "const" and "enum". With both keywords a value must be in both.
Result<void> read_values(bool is_const, const Json& value, SchemaNode& node);
Result<void> read_number(const Json& value, std::optional<Decimal>& target);
Result<void> read_divisor(const Json& value, std::optional<Decimal>& target);
Result<void> read_count(const Json& value, std::optional<uint64_t>& target);
Result<void> read_flag(const Json& value, bool& target);
Result<void> read_pattern(const Json& value, std::optional<Pattern>& target);
Result<void> read_names(const Json& value, std::vector<std::string>& target);
Result<void> read_dependent_required(const Json& value, SchemaNode& node);

/// The beginning of a value for a message.
std::string cut_text(const Json& value);

}  // namespace sable::tools
