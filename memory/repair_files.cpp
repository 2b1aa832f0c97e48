#include "memory/repair_files.h"

#include <cerrno>
#include <sys/stat.h>

#include "base/file.h"
#include "memory/file_lock.h"

namespace sable::memory {

namespace {

namespace fs = std::filesystem;

/// Both names durable; what is not there is not moved.
Result<void> move_aside(const fs::path& file, const fs::path& folder) {
  std::error_code error;
  if (fs::symlink_status(file, error).type() == fs::file_type::not_found) return {};
  SABLE_TRY_VOID(make_private_folders(folder));
  fs::rename(file, folder / file.filename(), error);
  if (error) return fail_errno(file.string(), error.value());
  SABLE_TRY_VOID(sync_folder(folder));
  return sync_folder(file.parent_path());
}

}  // namespace

Result<void> give_up_blobs(LogDatabase& database, const Home& home, const Health& health,
                           const fs::path& aside) {
  std::map<std::string, std::vector<std::string>> lost_of;
  for (const auto& [digest, sessions] : health.lost_blobs) {
    for (const auto& session : sessions) lost_of[session].push_back(digest);
  }
  for (const auto& [session, digests] : lost_of) {
    auto row = database.session(session);
    if (!row) continue;  // it was salvaged under another name, without the events that say this
    std::vector<NewEvent> events;
    events.push_back({kBlobsLost, Json{{"digests", digests}}});
    SABLE_TRY_VOID(database.begin());
    auto told = database.append(*row, std::move(events), system_clock().wall_now());
    auto done = told ? database.commit() : fail(told.error());
    if (!done) {
      database.rollback();
      return done;
    }
  }
  // Said first: a crash in between leaves files that the next repair moves.
  for (const auto& [digest, sessions] : health.lost_blobs) {
    SABLE_TRY_VOID(move_aside(home.blobs() / digest.substr(0, 2) / digest, aside / "blobs"));
  }
  return {};
}

Result<void> put_heads_right(const std::vector<WrongHead>& heads, const fs::path& aside) {
  for (const auto& head : heads) {
    const fs::path sessions = head.folder / "sessions";
    const fs::path to = aside / "checkpoints" / head.folder.filename();
    std::error_code error;
    if (!fs::is_directory(fs::symlink_status(sessions, error))) {
      SABLE_TRY_VOID(move_aside(sessions, to));
    }
    SABLE_TRY_VOID(make_private_folder(sessions));
    SABLE_TRY_VOID(move_aside(sessions / head.session, to / "sessions"));
    if (head.right) {
      SABLE_TRY_VOID(set_newest_checkpoint(head.folder, head.session, *head.right));
    }
  }
  return {};
}

Result<void> give_up_objects(const Health& health, const fs::path& aside) {
  for (const auto& damage : health.checkpoints) {
    SABLE_TRY_VOID(note_lost_objects(damage.folder, damage.lost));
    for (const auto& id : damage.lost) {
      const auto hex = hex_of(id);
      SABLE_TRY_VOID(
          move_aside(damage.folder / "objects" / hex.substr(0, 2) / hex.substr(2),
                     aside / "checkpoints" / damage.folder.filename() / hex.substr(0, 2)));
    }
  }
  return {};
}

}  // namespace sable::memory
