#include "memory/retention.h"

#include <set>

#include "memory/blob_files.h"
#include "memory/session_lock.h"

namespace sable::memory {

namespace {

constexpr int64_t kFreePagesMin = 4096;  // 16 MiB: below that a rewrite is not worth its writes

/// What sessions take: their events' data, and blobs, each of which goes with its last session.
class Sizes {
 public:
  Sizes(LogDatabase& database, const Home& home, const std::stop_token& stop)
      : database_(database), home_(home), stop_(stop) {}

  /// Of the blobs those that no session asked for before names.
  Result<uint64_t> of(const SessionRow& session) {
    SABLE_TRY_VOID(go_on());
    uint64_t bytes = session.view.data_bytes;
    SABLE_TRY(const auto digests, database_.blobs_of(session.number));
    for (const auto& digest : digests) {
      SABLE_TRY_VOID(go_on());
      if (seen_.insert(digest).second) bytes += blob_bytes(home_.blobs(), digest);
    }
    return bytes;
  }

 private:
  Result<void> go_on() const {
    if (!stop_.stop_requested()) return {};
    return fail(ErrorCode::cancelled, "retention was given up");
  }

  LogDatabase& database_;
  const Home& home_;
  const std::stop_token& stop_;
  std::set<std::string> seen_;
};

}  // namespace

Result<std::vector<ExpiredSession>> expired_sessions(LogDatabase& database, const Home& home,
                                                     const Retention& policy, WallTime now,
                                                     const std::stop_token& stop) {
  SABLE_TRY(const auto sessions, database.newest_sessions(SIZE_MAX));
  Sizes sizes(database, home, stop);
  std::map<int64_t, uint64_t> bytes;
  uint64_t total = 0;
  if (policy.bytes_max) {
    // From the newest to the oldest: a blob counts for the session that keeps it longest.
    for (const auto& session : sessions) {
      SABLE_TRY(const auto n_bytes, sizes.of(session));
      bytes[session.number] = n_bytes;
      total += n_bytes;
    }
  }

  const auto age_of = [now](const SessionRow& session) {
    return now - WallTime(std::chrono::milliseconds(session.view.updated_ms));
  };
  // Where even the newest event is too old, rather the clock has jumped than that nobody was here
  // for so long: by age nothing goes.
  const bool by_age =
      policy.age_max && !sessions.empty() && age_of(sessions.front()) <= *policy.age_max;

  std::vector<ExpiredSession> expired;
  for (size_t i = sessions.size(); i-- > 0;) {
    const SessionRow& session = sessions[i];
    const bool too_old = by_age && age_of(session) > *policy.age_max;
    const bool too_much = policy.bytes_max && total > *policy.bytes_max;
    if ((!too_old && !too_much) || is_owned(home.locks(), session.id)) continue;
    if (!policy.bytes_max) {
      SABLE_TRY(bytes[session.number], sizes.of(session));
    }
    total -= policy.bytes_max ? bytes[session.number] : 0;
    expired.push_back({session.id, session.view.title,
                       WallTime(std::chrono::milliseconds(session.view.updated_ms)),
                       bytes[session.number]});
  }
  return expired;
}

Result<bool> shrink_if_worth_it(LogDatabase& database) {
  SABLE_TRY(const auto free_pages, database.connection().integer("PRAGMA freelist_count"));
  SABLE_TRY(const auto pages, database.connection().integer("PRAGMA page_count"));
  if (free_pages < kFreePagesMin || free_pages * 2 < pages) return false;
  return database.connection().execute("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").has_value();
}

}  // namespace sable::memory
