// HOME/checkpoints/HASH: the file checkpoints of one working directory, which sessions need which
// of them, and deleting what none needs.
//
//   root        the working directory
//   lock        held shared by whoever uses the objects, alone to delete some
//   objects/    Git objects
//   sessions/   each session's newest checkpoint; the ones before it are its ancestors
//   lost        objects that a repair gave up, a line each
//   unswept     there while objects may lie here that no session needs
#pragma once

#include <filesystem>
#include <optional>
#include <set>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "memory/git_objects.h"

namespace sable::memory {

std::filesystem::path checkpoint_folder(const std::filesystem::path& home,
                                        const std::filesystem::path& root);

/// Makes it, if it is missing, with everything in it.
Result<std::filesystem::path> make_checkpoint_folder(const std::filesystem::path& home,
                                                     const std::filesystem::path& root);

/// While the descriptor is open nothing is swept away. Waits for a sweep.
Result<UniqueFd> use_checkpoints(const std::filesystem::path& folder);

Result<std::optional<ObjectId>> newest_checkpoint(const std::filesystem::path& folder,
                                                  const std::string& session);
Result<void> set_newest_checkpoint(const std::filesystem::path& folder, const std::string& session,
                                   const ObjectId& commit);

/// Objects may lie here from now on that no session needs; durable when it returns.
Result<void> mark_unswept(const std::filesystem::path& folder);

/// The checkpoints of one session are from now on another one's too (a fork). Not an error when
/// there are none.
Result<void> share_checkpoints(const std::filesystem::path& home, const std::filesystem::path& root,
                               const std::string& from, const std::string& to);

/// Deletes what only this session's checkpoints needed; while another process makes or restores a
/// checkpoint of the same directory, the space stays until the next lone start. Not an error when
/// there is nothing. May be repeated after a crash. After `stop` the objects stay, marked.
Result<void> forget_checkpoints(const std::filesystem::path& home,
                                const std::filesystem::path& root, const std::string& session,
                                const std::stop_token& stop = {});
Result<void> forget_checkpoints_in(const std::filesystem::path& folder, const std::string& session,
                                   const std::stop_token& stop = {});

/// The folders of a home.
std::vector<std::filesystem::path> checkpoint_folders(const std::filesystem::path& home);

/// Every session that has checkpoints, with the folder.
std::vector<std::pair<std::filesystem::path, std::string>> checkpointed_sessions(
    const std::filesystem::path& home);

/// Objects of one directory's checkpoints that are damaged or missing and not known to be.
struct CheckpointDamage {
  std::filesystem::path folder;
  std::string root;  ///< the directory
  std::set<ObjectId> lost;
  std::set<std::string> sessions;  ///< some of whose checkpoints need them
};

/// Reads every object that some session needs. `passed_over`: files in sessions/ that are known to
/// be wrong (checkpoint_heads.h).
Result<std::vector<CheckpointDamage>> check_checkpoints(
    const std::filesystem::path& home, const std::set<std::filesystem::path>& passed_over = {});

/// From now on it is known that these are lost.
Result<void> note_lost_objects(const std::filesystem::path& folder, const std::set<ObjectId>& lost);

enum class Sweep { marked, all };

/// Deletes the objects that no session needs, in folders that nobody uses.
Result<void> sweep_checkpoints(const std::filesystem::path& home, Sweep which);

}  // namespace sable::memory
