// Repair of what lies beside the database. What is lost is moved aside and noted, so that the rest
// goes on and the next look finds nothing new.
#pragma once

#include "memory/health.h"
#include "memory/home.h"
#include "memory/log_database.h"

namespace sable::memory {

/// Each session that names a lost blob gets the event "blobs.lost"; damaged files move to
/// `aside`/blobs. The home is held alone.
Result<void> give_up_blobs(LogDatabase& database, const Home& home, const Health& health,
                           const std::filesystem::path& aside);

/// Files that do not name their session's newest checkpoint move to
/// `aside`/checkpoints/HASH/sessions; where the log knows a better one that is named. The home is
/// held alone.
Result<void> put_heads_right(const std::vector<WrongHead>& heads,
                             const std::filesystem::path& aside);

/// Damaged objects move to `aside`/checkpoints/HASH; the folder's list of lost ones names them.
Result<void> give_up_objects(const Health& health, const std::filesystem::path& aside);

}  // namespace sable::memory
