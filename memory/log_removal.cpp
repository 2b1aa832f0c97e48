// Taking a session away for good: hidden first, then deleted in short transactions, its own row
// last, so that whoever finds the row knows what is left to do.
#include "memory/log_database.h"

namespace sable::memory {

Result<void> LogDatabase::hide_session(const SessionRow& session, WallTime time) {
  SABLE_TRY_VOID(condemn_session(session.number));
  SABLE_TRY(auto* bury, statement("INSERT OR REPLACE INTO tombstone(id, time, n_events, head) "
                                  "VALUES(?, ?, ?, ?)"));
  return Run(*bury)
      .bind(session.id)
      .bind(time.time_since_epoch().count())
      .bind(static_cast<int64_t>(session.view.n_events))
      .bind(std::span<const uint8_t>(session.view.head))
      .finish();
}

Result<void> LogDatabase::condemn_session(int64_t number) {
  SABLE_TRY(auto* update,
            statement("UPDATE session SET complete = -1, fence = fence + 1 WHERE number = ?"));
  return Run(*update).bind(number).finish();
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
  Run run(*more);
  run.bind(event_key(number, 0)).bind(event_key(number, static_cast<uint64_t>(kSeqMask)));
  SABLE_TRY(const bool left, run.next());
  return !left;
}

Result<void> LogDatabase::erase_session(int64_t number) {
  for (const char* sql :
       {"DELETE FROM blob_ref WHERE session = ?", "DELETE FROM open_call WHERE session = ?",
        "DELETE FROM session_view WHERE session = ?", "DELETE FROM session WHERE number = ?"}) {
    SABLE_TRY(auto* erase, statement(sql));
    SABLE_TRY_VOID(Run(*erase).bind(number).finish());
  }
  return {};
}

Result<bool> LogDatabase::has_tombstone(const std::string& id) {
  SABLE_TRY(auto* select, statement("SELECT 1 FROM tombstone WHERE id = ?"));
  Run run(*select);
  run.bind(id);
  return run.next();
}

Result<std::vector<HiddenSession>> LogDatabase::hidden_sessions() {
  SABLE_TRY(auto* select,
            statement("SELECT s.number, s.id, coalesce(v.working_directory, '') FROM session s "
                      "LEFT JOIN session_view v ON v.session = s.number WHERE s.complete <> 1"));
  std::vector<HiddenSession> hidden;
  Run run(*select);
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return hidden;
    hidden.push_back({run.integer(0), std::string(run.text(1)), std::string(run.text(2))});
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

Result<std::vector<std::string>> LogDatabase::pinned_blobs() {
  SABLE_TRY(auto* select, statement("SELECT DISTINCT digest FROM blob_pin"));
  std::vector<std::string> digests;
  Run run(*select);
  while (true) {
    SABLE_TRY(const bool row, run.next());
    if (!row) return digests;
    digests.emplace_back(run.text(0));
  }
}

Result<void> LogDatabase::drop_pins() {
  SABLE_TRY(auto* drop, statement("DELETE FROM blob_pin"));
  return Run(*drop).finish();
}

Result<bool> LogDatabase::blob_in_use(const std::string& digest) {
  SABLE_TRY(auto* select,
            statement("SELECT 1 WHERE EXISTS(SELECT 1 FROM blob_ref r JOIN session s ON s.number = "
                      "r.session WHERE r.digest = ?1 AND s.complete >= 0) OR EXISTS(SELECT 1 FROM "
                      "blob_pin WHERE digest = ?1)"));
  Run run(*select);
  run.bind(digest);
  return run.next();
}

}  // namespace sable::memory
