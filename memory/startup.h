// What happens before a home is used: creation, migration, recovery after an unclean stop.
#pragma once

#include "base/log.h"
#include "memory/home.h"

namespace sable::memory {

/// With the home alone: creates the database or brings it up to date. After an unclean stop (a
/// write-ahead log was left behind) also checks it, within a bound, and takes away what was
/// half done. Errors: corrupt, unsupported, exhausted, io.
Result<void> prepare_database(const Home& home, const Log& log);

}  // namespace sable::memory
