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

struct Importing {
  std::optional<SessionFileReader> reader;
  Filling filling;
  std::vector<FileBlob> blobs;
  std::vector<FileEvent> events;
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
/// The session becomes visible if it is what the file's first line promised.
Result<std::string> finish_import(LogDatabase& database, Importing& import);

/// Takes the next records of the file; false when there are no more. Blocking.
Result<bool> read_some(Importing& import);

}  // namespace sable::memory
