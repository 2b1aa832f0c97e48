// A session at one moment: what stands of its task, and going back to an earlier one with
// conversation, files and, through the prompt's prefix, the cache.
#pragma once

#include <string>

#include "base/asio.h"
#include "memory/memory.h"

namespace sable::agent {

struct RewindResult {
  std::string session;
  memory::Seq to = 0;
  memory::Seq event = 0;  ///< "session.rewound"; rewinding to the one before it undoes it
  bool files_changed = false;
  memory::RestoreReport files;
};

/// Makes the session what it was behind event `to`. The files become what they were before the
/// first call after that event that could change them; with `keep_files` they stay. Errors: denied
/// while a process owns the session; invalid_input for an event that is not there or lies between
/// a call and its outcome; not_found, corrupt or unsupported when there is no whole checkpoint of
/// that moment (the message says why; keep_files goes without). All these leave the session as it
/// is.
asio::awaitable<Result<RewindResult>> rewind_session(memory::Store& store,
                                                     asio::thread_pool& workers, std::string id,
                                                     memory::Seq to, bool keep_files);

/// Restores the files of a rewind that was cut off between its event and its end. Nothing to do
/// otherwise. Where that can never be done the log says so, and the session goes on with the files
/// as they are. Errors: io, exhausted; then it is tried again the next time.
asio::awaitable<Result<void>> finish_rewind(memory::Store& store, asio::thread_pool& workers,
                                            memory::Lease& lease,
                                            std::filesystem::path working_directory);

/// Goal, todos, decisions and notes of a session as they stand.
asio::awaitable<Result<memory::TaskState>> tasks_of(memory::Store& store, std::string id);

}  // namespace sable::agent
