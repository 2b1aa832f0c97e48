// Room in the write-ahead log ahead of its use. A sync of bytes that overwrite others is faster
// than one that also has to record that the file became longer (on ext4 by half): zeros are written
// where the next commits go, while nobody waits.
#pragma once

#include "memory/log_database.h"

namespace sable::memory {

/// Makes the log's file longer when fewer than a few commits' pages are left of it, up to about the
/// size at which it is checkpointed and begins anew. SQLite takes zeros for the end of the log, and
/// deletes the file when the last process closes it. Takes the write lock: outside of a
/// transaction. True when the file is as it should be or was made longer. Errors: exhausted, and
/// nothing has changed; any other leaves the file in doubt, like a failed commit.
Result<bool> keep_room_in_wal(LogDatabase& database);

}  // namespace sable::memory
