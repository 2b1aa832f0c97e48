// A git repository read in this process through libgit2, without anything that its settings could
// start: no hooks, filters, external diffs, helpers, includes, alternates or other work trees.
#pragma once

#include <cstdint>
#include <git2.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "tools/workspace_files.h"

namespace sable::tools {

template <class T, void (*free_function)(T*)>
struct GitFree {
  void operator()(T* object) const { free_function(object); }
};
template <class T, void (*free_function)(T*)>
using GitOwned = std::unique_ptr<T, GitFree<T, free_function>>;

using GitOdb = GitOwned<git_odb, git_odb_free>;
using GitCommit = GitOwned<git_commit, git_commit_free>;
using GitTree = GitOwned<git_tree, git_tree_free>;
using GitObject = GitOwned<git_object, git_object_free>;
using GitIndex = GitOwned<git_index, git_index_free>;

/// The mode of an entry that is a commit of another repository.
constexpr uint32_t kGitSubmodule = 0160000;

/// A file as a tree or the index has it.
struct GitFile {
  git_oid id;
  uint32_t mode = 0;  ///< 0100644, 0100755, 0120000 (link), 0160000 (submodule)
};

/// Files by path. Bounded: hostile trees can have more files than there are atoms.
struct GitFiles {
  std::map<std::string, GitFile, std::less<>> files;
  bool cut = false;
};

/// The repository whose ".git" folder lies in the workspace's root. The folder is reached beneath
/// the root; of its contents only objects, references and the index are read, each by its own
/// reader. The repository's and the user's git settings are not read at all, so they cannot do
/// anything. All functions block.
class GitRepository {
 public:
  /// Errors: not_found (no repository in the root), unsupported (a linked work tree, borrowed
  /// objects, SHA-256, links or special files among the objects), corrupt.
  static Result<GitRepository> open(const WorkspaceFiles& files);
  GitRepository(GitRepository&&) noexcept = default;

  struct Head {
    std::string branch;             ///< "main"; empty when detached
    std::optional<git_oid> commit;  ///< nullopt: no commit yet
  };
  Result<Head> head() const;

  /// "HEAD", a branch, a tag, a remote's branch, at least four hexadecimal digits; with "~2" or "^"
  /// behind. Errors are for the model.
  Result<GitCommit> commit(std::string_view revision) const;
  /// nullopt when the object is not there, as behind the end of a shallow clone.
  std::optional<GitCommit> commit(const git_oid& id) const;

  Result<GitFiles> files_of(const git_commit& commit) const;
  /// What `path` is in a commit, folders included; nullopt where there is nothing.
  std::optional<git_oid> entry_at(const git_commit& commit, const std::string& path) const;
  /// Errors: exhausted when it is larger than `bytes_max`, corrupt.
  Result<std::string> blob(const git_oid& id, size_t bytes_max) const;

  /// nullptr when nothing was ever added.
  Result<GitIndex> index() const;
  /// Patterns of .git/info/exclude, or empty.
  std::string excludes() const;

 private:
  /// libgit2's global state, counted by it.
  struct Library {
    Library() { git_libgit2_init(); }
    ~Library() { git_libgit2_shutdown(); }
  };

  explicit GitRepository(const WorkspaceFiles& files) : files_(&files) {}
  Result<void> check_layout();
  Result<void> open_objects();
  Result<std::string> target_of(const std::string& reference) const;
  Result<git_oid> id_of(std::string_view name) const;
  Result<GitCommit> peeled(const git_oid& id, std::string_view name) const;
  Result<void> check_size(const git_oid& id, size_t bytes_max) const;

  std::shared_ptr<Library> library_ = std::make_shared<Library>();
  const WorkspaceFiles* files_;
  UniqueFd folder_, objects_;
  GitOdb odb_;
  GitOwned<git_repository, git_repository_free> repository_;
};

/// "0123456", as people name commits.
std::string short_id(const git_oid& id);

}  // namespace sable::tools
