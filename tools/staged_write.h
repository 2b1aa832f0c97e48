// One file on its way into the workspace: written beside its place, put there, and put back if need
// be.
#pragma once

#include <optional>
#include <string>
#include <sys/stat.h>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "tools/workspace_files.h"

namespace sable::tools {

/// Folders that were made on the way; removed again unless kept.
class MadeFolders {
 public:
  MadeFolders() = default;
  MadeFolders(const MadeFolders&) = delete;
  MadeFolders& operator=(const MadeFolders&) = delete;
  ~MadeFolders();

  void add(int parent, std::string name);
  void keep() { made_.clear(); }

 private:
  struct Made {
    UniqueFd parent;
    std::string name;
  };
  std::vector<Made> made_;
};

/// A name in a folder that nobody guesses; what stands there is unlinked unless kept.
class TemporaryName {
 public:
  explicit TemporaryName(int folder) : folder_(folder) {}
  TemporaryName(TemporaryName&& other) noexcept
      : folder_(other.folder_), name_(std::exchange(other.name_, {})) {}
  TemporaryName& operator=(TemporaryName&&) = delete;
  ~TemporaryName();

  Result<void> choose();
  const char* get() const { return name_.c_str(); }
  void keep() { name_.clear(); }

 private:
  int folder_;  ///< borrowed
  std::string name_;
};

class StagedWrite {
 public:
  /// Checks that the file is the one that `write.base` says, and writes the new content beside it.
  /// `folder` holds the file `name`, whose place for people is `place`. Errors as
  /// WorkspaceFiles::write().
  static Result<StagedWrite> prepare(UniqueFd folder, std::string name, std::string place,
                                     FileWrite write);

  /// Puts the file in place, or takes it away. What stood there is kept until finish().
  Result<void> put();
  /// After put(): as it was before; false when it cannot be.
  bool undo();
  /// Makes it durable and lets go of what stood there.
  Result<void> finish();

  const std::string& place() const { return place_; }
  /// Of the new content; nullopt when the file is removed.
  std::optional<Digest> digest() const { return digest_; }

 private:
  /// How the file was put in place, which decides how it is taken back.
  enum class Done { nothing, created, exchanged, replaced, removed };

  StagedWrite(UniqueFd folder, std::string name, std::string place)
      : folder_(std::move(folder)),
        name_(std::move(name)),
        place_(std::move(place)),
        temporary_(folder_.get()) {}

  bool rename_to_place(unsigned flags) const;
  Result<void> fill(std::string_view content, unsigned new_mode);
  Result<void> put_new();
  Result<void> put_over();
  Result<void> take_away();

  UniqueFd folder_;
  std::string name_;
  std::string place_;
  std::optional<struct stat> before_;  ///< what stands there; nullopt: nothing
  UniqueFd content_;                   ///< of the temporary file
  std::optional<Digest> digest_;
  TemporaryName temporary_;
  Done done_ = Done::nothing;
};

}  // namespace sable::tools
