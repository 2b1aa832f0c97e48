// A private store of Git objects, through libgit2: blobs, trees, commits by their hash.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct git_odb;

namespace sable::memory {

/// An object's name as raw bytes (SHA-1 with collision detection, as Git has it).
using ObjectId = std::string;  // 20 bytes

std::string hex_of(const ObjectId& id);
/// Errors: invalid_input.
Result<ObjectId> object_id(std::string_view hex);

enum class ObjectKind { blob, tree, commit };

/// "blob", "tree", "commit".
std::string_view name_of(ObjectKind kind);
std::optional<ObjectKind> object_kind(std::string_view name);

enum class TreeMode { file, program, link, folder };

struct TreeEntry {
  TreeMode mode;
  std::string name;
  ObjectId id;
};

struct CommitRecord {
  ObjectId tree;
  ObjectId parent;  ///< empty: none
};

class GitObjects {
 public:
  /// `folder` exists. `sync_each`: every object is durable when a commit that is written after it
  /// returns; else sync() once.
  static Result<GitObjects> open(const std::filesystem::path& folder, bool sync_each);

  Result<ObjectId> write_blob(std::string_view bytes);
  Result<ObjectId> write_tree(std::vector<TreeEntry> entries);
  Result<ObjectId> write_commit(const CommitRecord& commit, std::string_view message);

  /// The name that these bytes have.
  static Result<ObjectId> name_of(ObjectKind kind, std::string_view bytes);

  /// An object whose name is known to be right. A damaged file in its place is replaced.
  Result<void> write_whole(ObjectKind kind, const ObjectId& id, std::string_view bytes);

  /// Errors: not_found; corrupt when the bytes are not what the name says.
  Result<std::string> read(const ObjectId& id, ObjectKind kind);
  Result<std::string> read_blob(const ObjectId& id);
  Result<std::vector<TreeEntry>> read_tree(const ObjectId& id);
  Result<CommitRecord> read_commit(const ObjectId& id);

  bool is_missing(const ObjectId& id) const;

  /// Makes everything written so far durable.
  Result<void> sync();

  /// Deletes every object that is not in `needed`. Nobody may be writing.
  Result<void> keep_only(const std::set<ObjectId>& needed);

 private:
  struct Free {
    void operator()(git_odb* odb) const;
  };
  Result<ObjectId> write(std::string_view bytes, ObjectKind kind);
  std::filesystem::path file_of(const ObjectId& id) const;

  std::filesystem::path folder_;
  bool sync_each_ = false;
  // Objects lie in folders named by the first byte of their names. libgit2 syncs the files and the
  // names in those; that the folders themselves have names is left to us.
  std::set<char> used_folders_;
  bool has_unsynced_folders_ = false;
  std::unique_ptr<git_odb, Free> odb_;
};

}  // namespace sable::memory
