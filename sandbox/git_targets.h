// What the settings of a git repository make git run or read further settings from, wherever that
// lies: hooks, filters, file system monitors, diff and merge programs, included files.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "sandbox/git_config.h"

namespace sable::sandbox {

/// Where a repository is. All paths are absolute.
struct GitRepository {
  std::filesystem::path folder;    ///< what is its own: index, HEAD, config.worktree
  std::filesystem::path common;    ///< what its worktrees share: config, hooks, objects
  std::filesystem::path worktree;  ///< where its programs are started; a bare one's own folder
};

/// What lies at `place`: a repository's folder (of any name), or the file that points to one.
/// nullopt when such a file points nowhere.
std::optional<GitRepository> repository_at(const std::filesystem::path& place);

/// The user to whom the repositories belong.
struct GitUser {
  std::filesystem::path home;                   ///< of "~/"; may be empty
  std::vector<std::filesystem::path> settings;  ///< files read for every repository
};

/// The user of this process, by the system's list of users.
GitUser this_git_user();

struct GitTarget {
  std::filesystem::path path;  ///< absolute, normal; may be missing
  std::string why;             ///< "git's setting core.hookspath in /repo/.git/config names it"
};

struct GitTargets {
  std::vector<GitTarget> targets;
  std::vector<std::filesystem::path> settings;  ///< every file that was looked for
};

/// Conditions of includes count as met. A command's words are looked up as paths from the worktree
/// and from the repository's folder; of settings that are not known to run something, only words
/// that lead to an executable file count. Reads the settings' files and asks for what lies at their
/// words; `repository.worktree` gives way to core.worktree.
GitTargets git_targets(GitRepository repository, const GitUser& user);

}  // namespace sable::sandbox
