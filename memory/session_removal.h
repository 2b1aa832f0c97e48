// What removing a session takes besides its events, and taking away what was left by removals,
// forks, imports and processes that were cut off. Every step may be repeated after a crash: the
// session's row goes last, and until then it says that something is left.
#pragma once

#include <optional>

#include "memory/home.h"
#include "memory/log_database.h"
#include "memory/memory.h"
#include "memory/session_lock.h"

namespace sable::memory {

/// A session on its way out. Whoever holds its lock may go on with the removal; one that finds the
/// row and gets the lock knows that its remover died.
struct Removing {
  HiddenSession session;
  std::optional<SessionLock> lock;
};

/// Hides a visible session; inside a transaction. Errors: denied while a process owns it.
Result<Removing> begin_removal(LogDatabase& database, const Home& home, const std::string& id,
                               WallTime time);
/// Takes over a hidden session whose process died; false while it lives. Inside a transaction.
Result<bool> take_over_removal(LogDatabase& database, const Home& home,
                               const HiddenSession& session, std::optional<Removing>& removing);

/// Deletes the blobs that only this session names; inside a transaction, whose write lock keeps
/// new pins out meanwhile.
Result<void> remove_its_blobs(LogDatabase& database, const Home& home,
                              const HiddenSession& session);

/// Deletes the file checkpoints and cache snapshots that only this session needs. Blocking; outside
/// of any transaction. After `stop` space may stay, which the next lone start gives back.
Result<void> remove_its_caches(const Home& home, const HiddenSession& session,
                               const std::stop_token& stop = {});

/// A fork is protected from the eviction of what it builds on. Failures cost a prefill at most.
void share_snapshots(const Home& home, const std::string& from, const std::string& to);

/// With the home alone: finishes every removal, takes back what never became a session, and deletes
/// the blobs that processes stored which died before an event named them. Cheap when there is
/// nothing to do.
Result<void> finish_removals(LogDatabase& database, const Home& home);

/// Deletes the blobs in one of the 256 subfolders that nothing names, and temporary files; inside a
/// transaction. Returns how many.
Result<uint64_t> sweep_blobs(LogDatabase& database, const Home& home, uint8_t subfolder);

/// Deletes the file checkpoints and snapshots of sessions that do not exist. Blocking.
Result<Swept> sweep_caches(LogDatabase& reading, const Home& home);

/// Both, with the home alone.
Result<Swept> sweep_all(LogDatabase& database, const Home& home);

}  // namespace sable::memory
