// The one list of names that programs outside the sandbox run or believe, wherever they lie.
#pragma once

#include <string_view>
#include <vector>

namespace sable::sandbox {

/// Why a file or folder of this name is protected with all it holds; empty if it is not. The folder
/// of a repository is not in this list: most of what it holds may change (is_in_repository()).
/// Case does not matter, since file systems may fold it.
std::string_view protection_of_name(std::string_view name);

/// All of that list, and those of protection_in(), for people.
std::vector<std::string_view> protected_names();

/// The same for a name in a folder of the name `folder`, in which a few more are protected.
std::string_view protection_in(std::string_view folder, std::string_view name);

/// Whether it is the name of a repository's folder, or of the pointer to one.
bool is_repository_name(std::string_view name);

/// Inside a repository's folder: what git runs, or takes its settings from.
bool is_held_in_repository(std::string_view name);

/// Inside a repository's folder: large and harmless; nothing below it need be looked at.
bool is_content_of_repository(std::string_view name);

}  // namespace sable::sandbox
