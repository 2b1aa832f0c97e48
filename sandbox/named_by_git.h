// The paths below one root that the settings of git repositories there, above and around it name,
// kept up to date as the settings and the paths change.
#pragma once

#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "sandbox/git_targets.h"

namespace sable::sandbox {

/// Whether files of settings can have changed since they were looked at: not by a command, which is
/// held from them.
enum class GitSettings { open, held };

class NamedByGit {
 public:
  /// How a path is named, strongest last.
  enum class How {
    link,    ///< the way leads through this link: re-pointed, it would lead elsewhere
    around,  ///< a folder on the way: moved, another could take its place
    target,  ///< what git would run or believe, with all it holds
  };
  struct Named {
    How how = How::target;
    std::string why;
  };
  /// By their paths below the root, which may be missing.
  using Paths = std::map<std::string, Named>;

  /// `root` is canonical.
  NamedByGit(std::string root, GitUser user);

  /// A repository's folder, or the pointer to one; what it names is known after refresh().
  void add(const std::string& place);
  /// Something happened at this path: what is named there or below it is looked up again.
  void doubt(const std::string& path);
  /// Reads what was added or doubted, and unless all others were `held` the settings that are not
  /// what they were; whether the paths may have changed.
  bool refresh(GitSettings others);
  void clear();

  const Paths& paths() const { return paths_; }

 private:
  struct Stamp {
    uint64_t device = 0, inode = 0, bytes = 0;
    int64_t changed_ns = 0;
    friend bool operator==(const Stamp&, const Stamp&) = default;
  };
  static Stamp stamp_of(const std::string& file);

  void read(const std::string& place);
  void name_way_to(Paths& paths, const GitTarget& target) const;

  const std::string root_;
  const GitUser user_;
  std::map<std::string, Paths> by_place_;
  std::set<std::string> unread_;
  std::map<std::string, Stamp> settings_;                 ///< every file that was looked for
  std::map<std::string, std::set<std::string>> readers_;  ///< of a file: places
  Paths paths_;
};

}  // namespace sable::sandbox
