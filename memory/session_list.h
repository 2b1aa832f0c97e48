// The list of sessions as people see it: rows of the log with the processes that own them.
#pragma once

#include "memory/home.h"
#include "memory/log_database.h"

namespace sable::memory {

/// Newest first.
Result<std::vector<SessionInfo>> list_sessions(LogDatabase& database, const Home& home,
                                               size_t n_max);

/// The session whose id is `id` or begins with it. not_found; invalid_input when several do.
Result<SessionInfo> find_session(LogDatabase& database, const Home& home, const std::string& id);

}  // namespace sable::memory
