// The files of a workspace: opened beneath its root, replaced whole, and remembered by content.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "sandbox/sandbox.h"

namespace sable::tools {

/// A regular file opened for reading.
struct OpenedFile {
  UniqueFd fd;
  std::string place;   ///< real path relative to the root
  uint64_t bytes = 0;  ///< size when it was opened
  unsigned mode = 0;   ///< permission bits
};

/// A regular file read whole.
struct LoadedFile {
  std::string place;
  std::string content;
  Digest digest;  ///< of content
};

/// What the kernel says of something in the workspace, without opening it.
struct FileState {
  unsigned mode = 0;  ///< with its type, as stat(2) has it
  uint64_t bytes = 0;
  int64_t modified_s = 0;
  uint32_t modified_ns = 0;
  std::string target;  ///< of a symbolic link
};

struct FolderEntry {
  enum class Kind { file, folder, link, other };
  std::string name;
  Kind kind = Kind::other;
  std::string target;  ///< of a link
};

struct Folder {
  std::string place;                 ///< "." for the root
  std::vector<FolderEntry> entries;  ///< sorted by name
  bool cut = false;                  ///< there were more than the limit
};

/// What the writer knows about the file that it replaces.
struct WriteBase {
  std::optional<Digest> replaces;  ///< the content it was made from; nullopt: the file must be new
};

/// One file of several that are written together.
struct FileWrite {
  std::string path;
  std::optional<std::string> content;  ///< nullopt: the file is removed
  WriteBase base;
  unsigned new_mode = 0644;  ///< permission bits of a file that is new
};

class MadeFolders;
class StagedWrite;

/// All functions block: they run on a worker. Paths are relative to the root, or absolute below it.
class WorkspaceFiles {
 public:
  static Result<WorkspaceFiles> open(const std::filesystem::path& root,
                                     const sandbox::Policy& policy, bool writable);

  /// Errors: not_found, denied (outside, masked, no permission), invalid_input (not a regular
  /// file).
  Result<OpenedFile> open_file(std::string_view path) const;
  /// Errors as open_file, and exhausted when the file is larger than `bytes_max`.
  Result<LoadedFile> load(std::string_view path, size_t bytes_max) const;
  /// A folder for reading. Errors as list().
  Result<UniqueFd> open_folder(std::string_view path) const;
  /// What lies at `path` itself, links not followed. Errors: not_found, denied.
  Result<FileState> state_of(std::string_view path) const;
  Result<Folder> list(std::string_view path, size_t entries_max = 20'000) const;
  /// The real path of something that exists, relative to the root.
  Result<std::string> place_of(std::string_view path) const;
  /// A name like `path` that exists in its folder, or empty: for "did you mean".
  std::string similar_to(std::string_view path) const;

  /// Replaces or creates a file: temporary file in the same folder, fsync, rename, fsync of the
  /// folder; keeps mode and owner. Missing folders are made. Returns the file's place. Errors:
  /// denied (protected name, link, read-only), invalid_input (not a regular file; the file is not
  /// what `base` says: it changed in between), io.
  Result<std::string> write(std::string_view path, std::string_view content, const WriteBase& base);

  /// The same for several files, all or none: every one is checked and written beside its place
  /// first, then they are put in place one after the other; if one cannot be, those before it are
  /// put back, and folders that were made are removed. Paths must differ. Returns their places in
  /// order. (A crash between two renames can leave some in place: each file is whole, the set is
  /// not.)
  Result<std::vector<std::string>> write_together(std::vector<FileWrite> writes);

  /// The content last seen or written in this session, by place.
  void remember(const std::string& place, const Digest& digest) { known_[place] = digest; }
  void forget(const std::string& place) { known_.erase(place); }
  std::optional<Digest> remembered(const std::string& place) const;

  /// Counts edits that failed in just the same way; forgotten when the file changes.
  int count_failure(const Digest& edit) { return ++failures_[edit]; }

 private:
  /// The folder a file will be written to, and its name in it.
  struct Target {
    UniqueFd folder;
    std::string name;
    std::string place;
  };

  std::string relative(std::string_view path) const;
  Result<void> check_visible(const std::string& place) const;
  Result<Target> target_of(std::string_view path, MadeFolders& made) const;
  Result<UniqueFd> make_folders(std::string_view path, MadeFolders& made) const;
  Result<StagedWrite> stage(FileWrite write, MadeFolders& made) const;

  UniqueFd root_;
  std::string root_path_;
  bool writable_ = false;
  std::vector<std::string> masked_;  ///< places
  std::unique_ptr<sandbox::Protection> protection_;
  std::map<std::string, Digest> known_;
  std::map<Digest, int> failures_;
};

}  // namespace sable::tools
