// A session that is made by copying: from another session (fork) or from a file (import). It is
// filled in short transactions, so that other sessions go on being written, and is not visible
// until it is complete; one that never becomes so is taken away at the next lone start.
#pragma once

#include <optional>

#include "memory/home.h"
#include "memory/log_database.h"
#include "memory/session_file.h"
#include "memory/session_lock.h"

namespace sable::memory {

struct Filling {
  int64_t from = 0;  ///< number of the session that is copied
  SessionRow row;
  std::optional<SessionLock> lock;
};

/// What an import has come to.
enum class ImportNext { events, blob, checkpoints, end };

struct Importing {
  std::optional<SessionFileReader> reader;
  Filling filling;
  std::vector<FileEvent> events;
  FileRecord held;  ///< the one behind them, where it is no event
  /// The newest event is a rewind whose files were still to be restored. That is not done
  /// elsewhere: whoever takes the session up would have files written that nobody asked for.
  bool ends_in_rewind = false;
};

// Inside a transaction each.

/// Takes `id`, or a fresh one when it is taken or empty.
Result<bool> begin_filling(LogDatabase& database, const Home& home, WallTime time, Filling& filling,
                           std::string id);
/// Errors: not_found; invalid_input when there is no event `at`.
Result<bool> begin_fork(LogDatabase& database, const Home& home, WallTime time, Filling& filling,
                        const std::string& session, Seq at);
/// Copies the next events, up to `at`. On an error the next try starts where the last ended.
Result<bool> copy_events(LogDatabase& database, Filling& filling, Seq at);
/// Stores the events that read_some() took. Errors: corrupt.
Result<bool> adopt_some(LogDatabase& database, Importing& import);
/// All events that the file's first line promises are there. Errors: corrupt.
Result<bool> check_events(LogDatabase& database, Importing& import);
/// The session becomes visible.
Result<std::string> finish_import(LogDatabase& database, Importing& import);

// Blocking; in no transaction.

/// Takes the next events of the file, up to something else or as many as fit a transaction.
Result<ImportNext> read_some(Importing& import);
/// Stores the content of the blob that was met; it is pinned.
Result<void> receive_blob(const std::filesystem::path& blobs, Importing& import);
/// Takes the file checkpoints, up to the end of the file. The session's row names its directory.
Result<void> receive_checkpoints(const Home& home, Importing& import);

}  // namespace sable::memory
