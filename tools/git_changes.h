// What differs between commits, the index and the files of the workspace.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/git_repository.h"

namespace sable::tools {

struct GitChange {
  enum class Kind { added, changed, removed, retyped };
  Kind kind = Kind::changed;
  std::string path;
  std::optional<GitFile> before, after;  ///< `after` is nullopt also for a file of the workspace
  bool after_is_file = false;            ///< what is after lies in the workspace
};

/// "A", "M", "D" or "T", as git writes them.
char letter_of(GitChange::Kind kind);

/// The index as files; paths with conflicts apart.
struct GitStaged {
  GitFiles staged;
  std::vector<std::string> conflicts;
};
GitStaged staged_files(const git_index* index);

/// From one set of files to another, in path order.
std::vector<GitChange> changes_between(const GitFiles& before, const GitFiles& after);

/// How the workspace's files differ from the index: only what the index knows. A file whose size
/// and time are those of the index counts as the same, others are read and compared by content;
/// line ends CR LF count as LF, since what git's settings say about them is not read.
struct WorkspaceChanges {
  std::map<std::string, GitChange, std::less<>> changes;
  size_t n_not_compared = 0;  ///< too large, or the bound on bytes read was reached
};
WorkspaceChanges workspace_changes(const WorkspaceFiles& files, const git_index* index);

/// Files and folders that git does not know and does not ignore; a folder of only such as one.
struct UntrackedFiles {
  std::vector<std::string> paths;  ///< folders with a slash at the end
  bool cut = false;
};
UntrackedFiles untracked_files(const WorkspaceFiles& files, const GitFiles& staged,
                               std::string_view excludes);

}  // namespace sable::tools
