// One YAML value into one setting: its type, its range, and what a repository may not do.
#pragma once

#include <string>

#include "base/result.h"
#include "base/yaml.h"
#include "runtime/config/settings.h"

namespace sable::runtime::config {

/// Checks `value` and stores it. `name` stands for the "*" in the setting's key. `where` is the
/// layer and source of the whole file; the value's line and column are added. Errors begin with the
/// place and name the setting: invalid_input, denied (more than narrowing).
Result<void> assign(const Setting& setting, const std::string& name, const YamlValue& value,
                    const Origin& where, Config& config);

/// `where` with the line and column of `value`.
Origin place_of(const YamlValue& value, const Origin& where);

/// "PLACE: KEY: WHY" as an error.
tl::unexpected<Error> refuse_at(ErrorCode code, const Origin& place, std::string_view key,
                                std::string_view why);

}  // namespace sable::runtime::config
