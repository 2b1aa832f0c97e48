// Words in the log: which events hold them, and where in them.
#pragma once

#include "memory/log_database.h"
#include "memory/memory.h"

namespace sable::memory {

/// See Store::search().
Result<std::vector<SearchHit>> search_events(LogDatabase& database, std::string_view text,
                                             size_t n_max);

}  // namespace sable::memory
