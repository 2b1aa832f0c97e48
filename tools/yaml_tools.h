// Tools described in YAML files (docs/tools.md).
#pragma once

#include <string_view>
#include <vector>

#include "tools/command_tool.h"

namespace sable::tools {

/// All tools of one file, or an error that begins with FILE:LINE:COLUMN. `profiles` may be empty.
Result<std::vector<Tool>> read_yaml_tools(std::string_view text, std::string_view file,
                                          const ProfileLookup& profiles);

/// "FILE:LINE:COLUMN" of a tool's name in a file that was read without error.
std::string place_of_tool(std::string_view text, std::string_view file, std::string_view name);

}  // namespace sable::tools
