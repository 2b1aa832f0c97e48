// What lies in a workspace but is run or trusted by programs outside the sandbox.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sable::tools {

/// Why the file at `path` (its real place, relative to the workspace's root) must not be written by
/// a tool, at any depth: "repository control data" and the like. nullopt when it may be.
std::optional<std::string_view> protection_of(std::string_view path);

}  // namespace sable::tools
