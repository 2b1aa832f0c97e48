// One layer's YAML tree into a Config: every key is known or refused with its place.
#pragma once

#include <string_view>

#include "base/result.h"
#include "base/yaml.h"
#include "runtime/config/settings.h"

namespace sable::runtime::config {

/// Assigns all that `tree` sets. Its keys are those below `section` of the table ("" is the top,
/// "sandbox" for a profile). `where` is the layer and source of the whole tree. Errors begin with
/// the place: invalid_input (unknown key with the nearest known one, wrong value), denied.
Result<void> assign_tree(const YamlValue& tree, const Origin& where, std::string_view section,
                         Config& config);

/// The setting of the table with this key ("providers.*.model"), or nullptr.
const Setting* setting_named(std::string_view key);

}  // namespace sable::runtime::config
