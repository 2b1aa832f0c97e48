// One step of a JSON pointer (RFC 6901): "~0" stands for "~" and "~1" for "/".
#pragma once

#include <string>
#include <string_view>

namespace sable::tools {

/// A member's name as it stands between the slashes.
std::string json_pointer_part(std::string_view key);
/// The name again.
std::string json_pointer_key(std::string_view part);

}  // namespace sable::tools
