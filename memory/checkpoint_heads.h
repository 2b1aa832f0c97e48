// Whether HOME/checkpoints/HASH/sessions/ID, which names a session's newest file checkpoint, says
// what the session's log does; and putting it right.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "memory/checkpoint_folder.h"
#include "memory/event_record.h"
#include "memory/home.h"

namespace sable::memory {

/// The checkpoints that the events of one session name, in order, and where they are kept.
struct ToldCheckpoints {
  std::filesystem::path working_directory;
  std::vector<ObjectId> ids;

  /// Of a call that keeps the files, and of a rewind that does.
  void take(const Event& event);
};

/// By session.
using CheckpointsInLog = std::map<std::string, ToldCheckpoints>;

/// A file that does not name its session's newest checkpoint.
struct WrongHead {
  std::filesystem::path folder;  ///< HOME/checkpoints/HASH
  std::string session;           ///< the file's name; it need not be a session's
  std::string how;               ///< "is damaged": for people
  /// The newest one in the log that can still be read. None: the file can only be moved aside.
  std::optional<ObjectId> right;
};

/// Compares all of them. One that names a later checkpoint than the log does is right: it was taken
/// by a process that died before it could tell, or by the session that this one was forked from.
/// Errors: io.
Result<std::vector<WrongHead>> wrong_heads(const Home& home, const CheckpointsInLog& told);

}  // namespace sable::memory
