// Tools described in YAML (docs/tools.md).
#pragma once

#include <string_view>
#include <vector>

#include "tools/command_tool.h"

namespace sable::tools {

/// All tools of one file, or the first error: FILE:LINE:COLUMN and what to change.
Result<std::vector<Tool>> read_yaml_tools(std::string_view text, std::string_view file);

}  // namespace sable::tools
