// The shape of the database file, its versions, and the checks before a file is trusted.
#pragma once

#include <string>
#include <vector>

#include "memory/sqlite.h"

namespace sable::memory {

inline constexpr int32_t kApplicationId = 0x5361626c;  // "Sabl"
inline constexpr int kSchemaVersion = 3;

/// The key of an event row: its session's number and its seq in one integer, so that a session's
/// events lie side by side in one b-tree and need no second index.
inline constexpr int kSeqBits = 40;
inline constexpr int64_t kSeqMask = (int64_t{1} << kSeqBits) - 1;
constexpr int64_t event_key(int64_t session_number, uint64_t seq) {
  return (session_number << kSeqBits) | static_cast<int64_t>(seq);
}

/// Creates the schema in an empty file, or brings an older one up to date. The caller holds the
/// home alone. Errors as check_schema.
Result<void> create_or_migrate(Connection& connection);

enum class SchemaAge { current, any };  ///< any: also one that is still to be migrated

/// Errors: unsupported for a file of another program or a newer version, or of an older one where
/// that will not do; corrupt when the schema is not exactly ours (a trigger or view that somebody
/// added would run inside our transactions).
Result<void> check_schema(Connection& connection, SchemaAge age = SchemaAge::current);

enum class PageCheck { quick, full };  ///< full also compares indexes with their tables

/// What SQLite finds wrong with the file's pages, in its words; at most a few.
Result<std::vector<std::string>> page_problems(Connection& connection, PageCheck kind);

}  // namespace sable::memory
