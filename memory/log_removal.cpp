// Taking a session away for good: hidden first, then deleted in short transactions.
#include "memory/log_database.h"

namespace sable::memory {

Result<std::vector<std::string>> LogDatabase::hide_session(const SessionRow& session,
                                                           WallTime time) {
  SABLE_TRY(auto digests, blobs_of(session.number));
  for (const char* sql :
       {"DELETE FROM blob_ref WHERE session = ?", "DELETE FROM open_call WHERE session = ?",
        "DELETE FROM session_view WHERE session = ?",
        "UPDATE session SET complete = 0, fence = fence + 1 WHERE number = ?"}) {
    SABLE_TRY(auto* change, statement(sql));
    SABLE_TRY_VOID(Run(*change).bind(session.number).finish());
  }
  SABLE_TRY(auto* bury, statement("INSERT OR REPLACE INTO tombstone(id, time, n_events, head) "
                                  "VALUES(?, ?, ?, ?)"));
  SABLE_TRY_VOID(Run(*bury)
                     .bind(session.id)
                     .bind(time.time_since_epoch().count())
                     .bind(static_cast<int64_t>(session.view.n_events))
                     .bind(std::span<const uint8_t>(session.view.head))
                     .finish());
  std::vector<std::string> only_here;
  for (auto& digest : digests) {
    SABLE_TRY(const bool used, blob_in_use(digest));
    if (!used) only_here.push_back(std::move(digest));
  }
  return only_here;
}

Result<bool> LogDatabase::purge_events(int64_t number, size_t n_max) {
  SABLE_TRY(auto* permit, statement("INSERT OR IGNORE INTO removal(session) VALUES(?)"));
  SABLE_TRY_VOID(Run(*permit).bind(number).finish());
  SABLE_TRY(auto* purge, statement("DELETE FROM event WHERE key IN (SELECT key FROM event WHERE "
                                   "key BETWEEN ? AND ? LIMIT ?)"));
  SABLE_TRY_VOID(Run(*purge)
                     .bind(event_key(number, 0))
                     .bind(event_key(number, static_cast<uint64_t>(kSeqMask)))
                     .bind(static_cast<int64_t>(n_max))
                     .finish());
  SABLE_TRY(auto* forbid, statement("DELETE FROM removal WHERE session = ?"));
  SABLE_TRY_VOID(Run(*forbid).bind(number).finish());

  SABLE_TRY(auto* more, statement("SELECT 1 FROM event WHERE key BETWEEN ? AND ? LIMIT 1"));
  {
    Run run(*more);
    run.bind(event_key(number, 0)).bind(event_key(number, static_cast<uint64_t>(kSeqMask)));
    SABLE_TRY(const bool left, run.next());
    if (left) return false;
  }
  for (const char* sql :
       {"DELETE FROM blob_ref WHERE session = ?", "DELETE FROM open_call WHERE session = ?",
        "DELETE FROM session WHERE number = ?"}) {
    SABLE_TRY(auto* erase, statement(sql));
    SABLE_TRY_VOID(Run(*erase).bind(number).finish());
  }
  return true;
}

Result<std::vector<int64_t>> LogDatabase::hidden_sessions() {
  SABLE_TRY(auto* select, statement("SELECT number FROM session WHERE complete = 0"));
  std::vector<int64_t> numbers;
  Run run(*select);
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return numbers;
    numbers.push_back(run.integer(0));
  }
}

Result<void> LogDatabase::pin_blob(const std::string& digest, const std::string& store) {
  SABLE_TRY(auto* pin, statement("INSERT OR IGNORE INTO blob_pin(digest, store) VALUES(?, ?)"));
  return Run(*pin).bind(digest).bind(store).finish();
}

Result<bool> LogDatabase::unpin_named_blobs(const std::string& store, int64_t number) {
  SABLE_TRY(auto* drop, statement("DELETE FROM blob_pin WHERE store = ? AND digest IN (SELECT "
                                  "digest FROM blob_ref WHERE session = ?)"));
  SABLE_TRY_VOID(Run(*drop).bind(store).bind(number).finish());
  SABLE_TRY(auto* others, statement("SELECT 1 FROM blob_pin WHERE store = ? LIMIT 1"));
  Run run(*others);
  run.bind(store);
  return run.next();
}

Result<bool> LogDatabase::blob_in_use(const std::string& digest) {
  SABLE_TRY(auto* select, statement("SELECT 1 WHERE EXISTS(SELECT 1 FROM blob_ref WHERE digest = "
                                    "?1) OR EXISTS(SELECT 1 FROM blob_pin WHERE digest = ?1)"));
  Run run(*select);
  run.bind(digest);
  return run.next();
}

}  // namespace sable::memory
