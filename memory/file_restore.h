// Making files what a checkpoint says: planned as a pure function, carried out below one folder
// without following links.
#pragma once

#include <map>

#include "memory/file_checkpoints.h"
#include "memory/git_objects.h"

namespace sable::memory {

struct KeptFile {
  TreeMode mode = TreeMode::file;
  ObjectId id;
  friend bool operator==(const KeptFile&, const KeptFile&) = default;
};
using KeptFiles = std::map<std::string, KeptFile>;  ///< by path below the root

struct RestorePlan {
  std::vector<std::string> remove;                      ///< deepest first
  std::vector<std::pair<std::string, KeptFile>> write;  ///< removed ones are gone by then
  std::map<std::string, KeptFile> captured;             ///< what may be overwritten
  std::vector<LeftOut> kept;
};

/// `wanted_left_out`: paths, each ended by a zero byte, that the checkpoint says nothing about.
RestorePlan plan_restore(const KeptFiles& wanted, const std::string& wanted_left_out,
                         const KeptFiles& now, const std::vector<LeftOut>& now_left_out);

/// All that is to be written is there and whole. Errors: not_found, corrupt.
Result<void> check_content(const RestorePlan& plan, GitObjects& objects);

/// Changes nothing unless check_content() holds. Goes on after a file that cannot be changed; those
/// are in the report.
Result<RestoreReport> carry_out(int root, const RestorePlan& plan, GitObjects& objects);

}  // namespace sable::memory
