// Which sessions a policy no longer keeps, and giving their space back.
#pragma once

#include "memory/log_database.h"

namespace sable::memory {

/// Oldest first; sessions with a live owner always stay.
Result<std::vector<std::string>> sessions_to_drop(LogDatabase& database,
                                                  const std::filesystem::path& locks,
                                                  const Retention& policy, WallTime now);

/// Rewrites the file when more than half of it is free; outside of a transaction. False when not.
/// Free pages are reused in any case, so a file that is busy or a disk that is full is no error.
Result<bool> shrink_if_worth_it(LogDatabase& database);

}  // namespace sable::memory
