// What programs outside the sandbox would run or believe: repository hooks and configuration,
// editor tasks, start-up files, settings of agents. Found at any depth below a writable root, so
// that a call can see them read-only, and found again after it, so that its result can name the new
// ones.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.h"

namespace sable::sandbox {

struct ProtectedPath {
  enum class Hold {
    pinned,  ///< its content may change, it cannot be moved or replaced: the folder of a repository
    read_only,  ///< neither it nor its content may change
    watched,    ///< a link or the like, which no mount can hold: a change of it is reported
  };
  Hold hold = Hold::read_only;
  bool folder = false;
  uint64_t device = 0, inode = 0;
  int64_t changed_ns = 0;  ///< of a watched one, since a removed inode's number is given out again

  friend bool operator==(const ProtectedPath&, const ProtectedPath&) = default;
};

/// Parents before what lies in them.
using ProtectedPaths = std::map<std::filesystem::path, ProtectedPath>;

/// The protected paths below one root, kept up to date through inotify: the first look walks the
/// tree, later ones only what changed. Its calls may come from any thread.
class ProtectedIndex {
 public:
  explicit ProtectedIndex(std::filesystem::path root);

  /// Goes on looking for about `slice`; true when what found() says is up to date.
  bool advance(std::chrono::microseconds slice);

  ProtectedPaths found() const;

 private:
  void read_events();
  bool event_matters(std::string_view name, uint32_t mask) const;
  void start_over();
  void look_into(const std::string& folder);
  void note(const std::string& path, ProtectedPath::Hold hold);
  void note_repository(const std::string& folder);

  mutable std::mutex mutex_;
  const std::string root_;
  UniqueFd inotify_;
  bool watching_ = true;  ///< false: watches ran out, so every look walks the tree
  std::unordered_map<int, std::string> watched_;  ///< folder of each watch
  std::vector<std::string> pending_;              ///< folders still to look into
  ProtectedPaths found_;
  bool fresh_ = false;  ///< a complete walk has been done since the last start_over()
};

/// Whether something at `path` (relative to a writable root) would be protected by its name and
/// place alone.
bool is_protected_place(const std::filesystem::path& path);

/// What is new, replaced or gone in `after`; of a new folder only itself, not what it holds.
std::vector<std::filesystem::path> changes_between(const ProtectedPaths& before,
                                                   const ProtectedPaths& after);

}  // namespace sable::sandbox
