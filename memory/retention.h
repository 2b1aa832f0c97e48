// Which sessions a policy no longer keeps, and giving their space back.
#pragma once

#include "memory/log_database.h"

namespace sable::memory {

/// Oldest first; sessions with a live owner always stay. Errors: cancelled.
Result<std::vector<ExpiredSession>> expired_sessions(LogDatabase& database, const Home& home,
                                                     const Retention& policy, WallTime now,
                                                     const std::stop_token& stop);

/// Rewrites the file when more than half of it is free; outside of a transaction. False when not.
/// Free pages are reused in any case, so a file that is busy or a disk that is full is no error.
Result<bool> shrink_if_worth_it(LogDatabase& database);

}  // namespace sable::memory
