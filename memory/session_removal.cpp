#include "memory/session_removal.h"

#include <set>

#include <fmt/format.h>

#include "memory/blob_files.h"
#include "memory/checkpoint_folder.h"
#include "memory/session_id.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

bool has_cache(const Home& home) {
  std::error_code ignored;
  return fs::exists(home.path() / "cache", ignored);
}

Result<void> remove_unused(LogDatabase& database, const Home& home,
                           const std::vector<std::string>& digests) {
  std::vector<std::string> unused;
  for (const auto& digest : digests) {
    SABLE_TRY(const bool used, database.blob_in_use(digest));
    if (!used) unused.push_back(digest);
  }
  return remove_blobs(home.blobs(), unused);
}

/// One transaction of a thread that has no group commit.
Result<void> in_transaction(LogDatabase& database, const std::function<Result<void>()>& work) {
  SABLE_TRY_VOID(database.begin());
  auto done = work();
  if (done) done = database.commit();
  if (!done) database.rollback();
  return done;
}

Result<void> finish(LogDatabase& database, const Home& home, const HiddenSession& session) {
  bool gone = false;
  while (!gone) {
    SABLE_TRY_VOID(in_transaction(database, [&]() -> Result<void> {
      SABLE_TRY(gone, database.purge_events(session.number));
      return {};
    }));
  }
  SABLE_TRY_VOID(
      in_transaction(database, [&] { return remove_its_blobs(database, home, session); }));
  SABLE_TRY_VOID(remove_its_caches(home, session));
  return in_transaction(database, [&] { return database.erase_session(session.number); });
}

/// The lock is released last, so its file may outlive the session. One that tells of acknowledged
/// events stays unless the session is known to have been removed: it is the only witness of a loss.
Result<void> remove_stale_locks(LogDatabase& database, const Home& home) {
  for (const auto& session : sessions_with_lock_file(home.locks())) {
    SABLE_TRY(const bool exists, database.id_is_taken(session));
    if (exists || !may_be_session_id(session)) continue;
    auto lock = SessionLock::acquire(home.locks(), session);
    if (!lock) continue;  // somebody is about to begin it
    SABLE_TRY(const bool removed, database.has_tombstone(session));
    if (removed) lock->discard();
  }
  return {};
}

/// Nobody lives who could still name what is pinned.
Result<void> drop_stale_pins(LogDatabase& database, const Home& home) {
  SABLE_TRY(const auto pinned, database.pinned_blobs());
  if (pinned.empty()) return {};
  return in_transaction(database, [&]() -> Result<void> {
    SABLE_TRY_VOID(database.drop_pins());
    return remove_unused(database, home, pinned);
  });
}

}  // namespace

Result<Removing> begin_removal(LogDatabase& database, const Home& home, const std::string& id,
                               WallTime time) {
  SABLE_TRY(const auto row, database.session(id));
  SABLE_TRY(auto lock, SessionLock::acquire(home.locks(), row.id));
  SABLE_TRY_VOID(database.hide_session(row, time));
  return Removing{{row.number, row.id, row.view.working_directory}, std::move(lock)};
}

Result<bool> take_over_removal(LogDatabase& database, const Home& home,
                               const HiddenSession& session, std::optional<Removing>& removing) {
  if (!may_be_session_id(session.id)) return false;  // damage; no file has such a name
  auto lock = SessionLock::acquire(home.locks(), session.id);
  if (!lock) {
    if (lock.error().code == ErrorCode::denied) return false;
    return fail(lock.error());
  }
  // It may have become visible, or gone, since it was seen.
  SABLE_TRY(const auto hidden, database.hidden_sessions());
  for (const auto& now : hidden) {
    if (now.number != session.number) continue;
    SABLE_TRY_VOID(database.condemn_session(now.number));
    removing.emplace(Removing{now, std::move(*lock)});
    return true;
  }
  return false;
}

Result<void> remove_its_blobs(LogDatabase& database, const Home& home,
                              const HiddenSession& session) {
  SABLE_TRY(const auto digests, database.blobs_of(session.number));
  return remove_unused(database, home, digests);
}

Result<void> remove_its_caches(const Home& home, const HiddenSession& session,
                               const std::stop_token& stop) {
  if (!session.working_directory.empty()) {
    SABLE_TRY_VOID(forget_checkpoints(home.path(), session.working_directory, session.id, stop));
  }
  if (!has_cache(home)) return {};
  SABLE_TRY(const auto snapshots, SnapshotStore::open(home.path()));
  return snapshots->forget(session.id);
}

void share_snapshots(const Home& home, const std::string& from, const std::string& to) {
  if (!has_cache(home)) return;
  const auto snapshots = SnapshotStore::open(home.path());
  if (snapshots) (void)(*snapshots)->share(from, to);
}

Result<void> finish_removals(LogDatabase& database, const Home& home) {
  SABLE_TRY(const auto hidden, database.hidden_sessions());
  for (const auto& session : hidden) {
    std::optional<Removing> removing;
    bool taken = false;
    SABLE_TRY_VOID(in_transaction(database, [&]() -> Result<void> {
      SABLE_TRY(taken, take_over_removal(database, home, session, removing));
      return {};
    }));
    if (!taken) continue;
    SABLE_TRY_VOID(finish(database, home, removing->session));
    removing->lock->discard();
  }
  SABLE_TRY_VOID(remove_stale_locks(database, home));
  SABLE_TRY_VOID(drop_stale_pins(database, home));
  return sweep_checkpoints(home.path(), Sweep::marked);
}

Result<uint64_t> sweep_blobs(LogDatabase& database, const Home& home, uint8_t subfolder) {
  SABLE_TRY(const auto stored, blobs_in_subfolder(home.blobs(), subfolder));
  std::vector<std::string> unused;
  for (const auto& digest : stored) {
    SABLE_TRY(const bool used, database.blob_in_use(digest));
    if (!used) unused.push_back(digest);
  }
  SABLE_TRY_VOID(remove_blobs(home.blobs(), unused));
  return unused.size();
}

Result<Swept> sweep_caches(LogDatabase& reading, const Home& home) {
  Swept swept;
  SABLE_TRY_VOID(remove_stale_locks(reading, home));
  // What is there is read before it is asked which sessions exist: one that began in between has
  // its row first.
  for (const auto& [folder, session] : checkpointed_sessions(home.path())) {
    SABLE_TRY(const bool exists, reading.id_is_taken(session));
    if (exists) continue;
    SABLE_TRY_VOID(forget_checkpoints_in(folder, session));
    ++swept.n_checkpoints;
  }
  SABLE_TRY_VOID(sweep_checkpoints(home.path(), Sweep::all));
  if (!has_cache(home)) return swept;
  SABLE_TRY(const auto snapshots, SnapshotStore::open(home.path()));
  SABLE_TRY(const auto sessions, snapshots->sessions());
  for (const auto& session : sessions) {
    SABLE_TRY(const bool exists, reading.id_is_taken(session));
    if (exists || !may_be_session_id(session)) continue;
    SABLE_TRY_VOID(snapshots->forget(session));
    ++swept.n_snapshots;
  }
  return swept;
}

Result<Swept> sweep_all(LogDatabase& database, const Home& home) {
  SABLE_TRY(auto swept, sweep_caches(database, home));
  SABLE_TRY_VOID(in_transaction(database, [&]() -> Result<void> {
    for (int subfolder = 0; subfolder < 256; ++subfolder) {
      SABLE_TRY(const auto n, sweep_blobs(database, home, static_cast<uint8_t>(subfolder)));
      swept.n_blobs += n;
    }
    return {};
  }));
  return swept;
}

}  // namespace sable::memory
