// Walking a working directory that may hold anything: bounded, without following links, without
// what Git ignores.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.h"
#include "memory/file_checkpoints.h"

struct git_repository;

namespace sable::memory {

/// What tells whether a file has changed.
struct FileStamp {
  uint64_t device = 0, inode = 0, bytes = 0;
  int64_t modified_ns = 0, changed_ns = 0;
  bool executable = false, link = false;
  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

struct WorkingFiles {
  std::map<std::string, FileStamp> files;  ///< regular files and links, by path below the root
  std::vector<LeftOut> left_out;
};

/// Opens a path below `root` without following any link or leaving its file system.
Result<UniqueFd> open_below(int root, const std::string& path, uint64_t flags, uint64_t mode = 0);

/// What the user's repository says is ignored. Remembers its answers until a file of rules changes.
class IgnoreRules {
 public:
  explicit IgnoreRules(const std::filesystem::path& root);

  void begin();  ///< before a walk
  /// After a walk. False: files of rules have gone since the last walk, so this one has to be
  /// repeated.
  bool end();
  /// A file of rules that the walk has met.
  void note_rules(const std::string& path, const FileStamp& stamp);
  /// Ignored and not tracked (a folder: with nothing tracked below).
  bool ignores(const std::string& path, bool folder);

 private:
  struct Free {
    void operator()(git_repository* repository) const;
  };
  std::unique_ptr<git_repository, Free> repository_;  ///< none: nothing is ignored
  std::string prefix_;                                ///< of the root in the repository
  std::unordered_map<std::string, bool> answers_;
  std::map<std::string, FileStamp> rules_, rules_before_;
};

/// Errors: exhausted when there are more files and folders than `n_max`; cancelled.
Result<WorkingFiles> walk(int root, IgnoreRules& ignore, size_t n_max,
                          const std::stop_token& stop = {});

}  // namespace sable::memory
