// Names of sessions: ordered by time, short enough to type.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"

namespace sable::memory {

/// "s_" and ten characters of Crockford's base32 in lower case: seven for the seconds since 2024,
/// so that names sort by time, and three random ones.
std::string make_session_id(WallTime now);

/// Whether text can be a session's id or the beginning of one. Ids are also file names.
bool may_be_session_id(std::string_view text);

}  // namespace sable::memory
