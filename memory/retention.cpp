#include "memory/retention.h"

#include "memory/session_lock.h"

namespace sable::memory {

namespace {

constexpr int64_t kFreePagesMin = 4096;  // 16 MiB: below that a rewrite is not worth its writes

Result<std::map<int64_t, uint64_t>> bytes_by_session(LogDatabase& database) {
  SABLE_TRY(auto* select,
            database.statement("SELECT key >> 40, sum(length(CAST(data AS BLOB))) FROM event "
                               "GROUP BY key >> 40"));
  std::map<int64_t, uint64_t> bytes;
  Run run(*select);
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return bytes;
    bytes[run.integer(0)] = static_cast<uint64_t>(run.integer(1));
  }
}

}  // namespace

Result<std::vector<std::string>> sessions_to_drop(LogDatabase& database,
                                                  const std::filesystem::path& locks,
                                                  const Retention& policy, WallTime now) {
  SABLE_TRY(auto sessions, database.newest_sessions(SIZE_MAX));
  std::map<int64_t, uint64_t> bytes;
  if (policy.bytes_max) {
    SABLE_TRY(bytes, bytes_by_session(database));
  }
  uint64_t total = 0;
  for (const auto& [number, n_bytes] : bytes) total += n_bytes;

  const auto age_of = [now](const SessionRow& session) {
    return now - WallTime(std::chrono::milliseconds(session.view.updated_ms));
  };
  // Where even the newest event is too old, rather the clock has jumped than that nobody was here
  // for so long: by age nothing goes.
  const bool by_age =
      policy.age_max && !sessions.empty() && age_of(sessions.front()) <= *policy.age_max;

  std::vector<std::string> drop;
  for (auto session = sessions.rbegin(); session != sessions.rend(); ++session) {
    const bool too_old = by_age && age_of(*session) > *policy.age_max;
    const bool too_much = policy.bytes_max && total > *policy.bytes_max;
    if ((!too_old && !too_much) || live_owner(locks, session->id)) continue;
    total -= bytes[session->number];
    drop.push_back(session->id);
  }
  return drop;
}

Result<bool> shrink_if_worth_it(LogDatabase& database) {
  SABLE_TRY(const auto free_pages, database.connection().integer("PRAGMA freelist_count"));
  SABLE_TRY(const auto pages, database.connection().integer("PRAGMA page_count"));
  if (free_pages < kFreePagesMin || free_pages * 2 < pages) return false;
  return database.connection().execute("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").has_value();
}

}  // namespace sable::memory
