// A session's file checkpoints on their way into a file and out of one.
#pragma once

#include <functional>
#include <map>

#include "memory/checkpoint_folder.h"
#include "memory/git_objects.h"

namespace sable::memory {

/// One object larger than this is not carried: no checkpoint that is taken has one.
inline constexpr size_t kCarriedObjectBytesMax = size_t{64} << 20;
/// Nor are more of them than this: their names are held in memory.
inline constexpr size_t kCarriedObjectsMax = 2'000'000;

/// Gives every object of a checkpoint and of those before it to `visit`, each once. Errors: those
/// of the objects (not_found, corrupt); exhausted beyond the limits above; what `visit` says.
Result<void> visit_checkpoint_objects(
    GitObjects& objects, const ObjectId& newest,
    const std::function<Result<void>(ObjectKind kind, const ObjectId& id, std::string_view bytes)>&
        visit);

/// Takes objects that somebody else made, none of which is believed: each must be what its name
/// says, and a checkpoint is taken only if everything that it and those before it are made of came
/// with it and could be restored.
class CheckpointReceiver {
 public:
  /// Of a working directory that need not exist here. What is taken and never finished is deleted
  /// by the next sweep.
  static Result<CheckpointReceiver> open(const std::filesystem::path& home,
                                         const std::filesystem::path& root);

  /// Errors: corrupt; exhausted.
  Result<void> take(ObjectKind kind, const ObjectId& id, std::string_view bytes);

  /// The checkpoint becomes the session's newest; durable when it returns. Errors: corrupt.
  Result<void> finish(const ObjectId& newest, const std::string& session);

 private:
  CheckpointReceiver(std::filesystem::path folder, UniqueFd lock, GitObjects objects)
      : folder_(std::move(folder)), lock_(std::move(lock)), objects_(std::move(objects)) {}
  Result<void> check_whole(ObjectId commit);
  Result<void> check_tree(const ObjectId& root);
  Result<void> check_came(ObjectKind kind, const ObjectId& id) const;

  /// What restoring a tree would make.
  struct Extent {
    uint64_t n_files = 0;
    size_t path_bytes = 0;  ///< of the longest path below it
  };

  std::filesystem::path folder_;
  UniqueFd lock_;
  GitObjects objects_;
  std::map<ObjectId, ObjectKind> came_;
  std::map<ObjectId, Extent> extents_;  ///< of the trees that were looked at
};

}  // namespace sable::memory
