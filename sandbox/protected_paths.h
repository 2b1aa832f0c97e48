// What programs outside the sandbox would run or believe: repository hooks and configuration,
// editor tasks, start-up files, settings of agents. Found at any depth below a writable root, so
// that a call can see them read-only, and found again after it, so that its result can name the new
// ones.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <unordered_map>
#include <vector>

#include "base/unique_fd.h"
#include "sandbox/named_by_git.h"

namespace sable::sandbox {

struct ProtectedPath {
  enum class Hold {
    pinned,  ///< its content may change, it cannot be moved or replaced: the folder of a repository
    read_only,  ///< neither it nor its content may change
    watched,    ///< a link or the like, which no mount can hold: a change of it is reported
  };
  Hold hold = Hold::read_only;
  bool folder = false;
  bool on_the_way = false;  ///< to what git's settings name: to make or fill it anew is no change
  uint64_t device = 0, inode = 0;
  int64_t changed_ns = 0;  ///< of a watched one, since a removed inode's number is given out again

  friend bool operator==(const ProtectedPath&, const ProtectedPath&) = default;
};

/// By their absolute paths; parents before what lies in them.
using ProtectedPaths = std::map<std::string, ProtectedPath>;

/// The protected paths below one root, kept up to date through inotify: the first look walks the
/// tree, later ones only what changed, and where nothing did a look costs two system calls and one
/// for each file of git's settings, unless those were held. Its calls may come from any thread.
class ProtectedIndex {
 public:
  /// `user`: whose settings of git hold in every repository, besides its own.
  explicit ProtectedIndex(std::filesystem::path root, GitUser user = {});

  /// Begins a look: advance() is to be called until it says true. What has happened in the tree up
  /// to now will be in found().
  void begin(GitSettings settings = GitSettings::open);
  /// Goes on looking for about `slice`; true when what found() says is up to date.
  bool advance(std::chrono::microseconds slice);

  /// Both to the end, however long it takes.
  void look();

  /// The same object as before as long as nothing has changed.
  std::shared_ptr<const ProtectedPaths> found();

  /// Why git would run or believe what lies at this path (absolute), there or not; empty if it
  /// would not, or by its name alone.
  std::string named_by_git(const std::string& path);

  /// Something is not as it was found, though no event said so (a mount lies over it): the next
  /// found() looks every known path up again.
  void doubt();

 private:
  bool read_events(std::chrono::steady_clock::time_point until);
  void hear(const std::string& folder, std::string_view name, uint32_t mask);
  bool event_matters(std::string_view folder, std::string_view name, uint32_t mask) const;
  void start_over();
  void look_into(const std::string& folder);
  void watch(const std::string& folder);
  void watch_above(const std::string& path);
  void trust_events_of(int folder);
  void note(const std::string& path, ProtectedPath::Hold hold);
  void note_repository(const std::string& folder);
  void take_up_named();
  static void look_up(const std::string& path, ProtectedPath wanted, ProtectedPaths& present);

  std::mutex mutex_;
  const std::string root_;
  uint64_t root_device_ = 0, root_inode_ = 0;
  UniqueFd inotify_;
  bool watching_ = true;  ///< false: watches ran out, so every look walks the tree
  /// Every change of a known path shows as an event. False where other machines change files too.
  bool telling_ = true;
  uint64_t device_ = 0;   ///< the last one that was asked whether it tells
  int64_t n_unread_ = 0;  ///< bytes of events that the look that began last is to read
  std::unordered_map<int, std::string> watched_;  ///< folder of each watch
  std::vector<std::string> pending_;              ///< folders still to look into
  ProtectedPaths known_;
  GitSettings settings_ = GitSettings::open;  ///< of the look that is going on
  NamedByGit named_;
  std::shared_ptr<const ProtectedPaths> found_;  ///< of known_, what exists; null: to be looked up
};

/// Whether something at `path` (relative to a writable root) would be protected by its name and
/// place alone.
bool is_protected_place(const std::filesystem::path& path);

/// What is new, replaced or gone in `after`; of a new folder only itself, not what it holds.
std::vector<std::filesystem::path> changes_between(const ProtectedPaths& before,
                                                   const ProtectedPaths& after);

}  // namespace sable::sandbox
