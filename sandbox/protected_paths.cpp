#include "sandbox/protected_paths.h"

#include <algorithm>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <iterator>
#include <linux/magic.h>
#include <memory>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/folder_stream.h"
#include "sandbox/protected_names.h"

namespace sable::sandbox {

namespace {

constexpr uint32_t kEvents = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR |
                             IN_DONT_FOLLOW | IN_EXCL_UNLINK;

// File systems on which nobody but this machine changes anything, so that inotify hears of all.
bool tells_of_changes(decltype(statfs::f_type) type) {
  constexpr uint32_t kTelling[] = {
      EXT4_SUPER_MAGIC,     XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC,    F2FS_SUPER_MAGIC,
      TMPFS_MAGIC,          RAMFS_MAGIC,     0x2fc12fc1 /* ZFS */, 0xca451a4e /* bcachefs */,
      OVERLAYFS_SUPER_MAGIC};
  return std::find(std::begin(kTelling), std::end(kTelling), static_cast<uint32_t>(type)) !=
         std::end(kTelling);
}

bool is_folder(const std::string& parent, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
  struct stat seen {};
  return ::lstat((parent + "/" + entry.d_name).c_str(), &seen) == 0 && S_ISDIR(seen.st_mode);
}

int64_t changed_ns_of(const struct stat& seen) {
  return seen.st_ctim.tv_sec * 1'000'000'000 + seen.st_ctim.tv_nsec;
}

// Whether a folder above the path may not be changed.
bool is_held_above(const ProtectedPaths& paths, std::string path) {
  for (path.resize(path.rfind('/')); !path.empty(); path.resize(path.rfind('/'))) {
    const auto above = paths.find(path);
    if (above != paths.end() && above->second.hold == ProtectedPath::Hold::read_only) return true;
  }
  return false;
}

std::string_view last_part(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

ProtectedIndex::ProtectedIndex(std::filesystem::path root, GitUser user)
    : root_(root.string()), named_(root_, std::move(user)) {
  start_over();
}

void ProtectedIndex::begin(GitSettings settings) {
  const std::lock_guard lock(mutex_);
  settings_ = settings;
  struct stat seen {};
  const bool same = ::lstat(root_.c_str(), &seen) == 0 && seen.st_dev == root_device_ &&
                    seen.st_ino == root_inode_;
  if (!same || !watching_) return start_over();
  int n_bytes = 0;
  if (::ioctl(inotify_.get(), FIONREAD, &n_bytes) == 0) n_unread_ = n_bytes;
}

bool ProtectedIndex::advance(std::chrono::microseconds slice) {
  const std::lock_guard lock(mutex_);
  const auto until = std::chrono::steady_clock::now() + slice;
  if (!read_events(until)) return false;
  // What happens while we look is for the next look: a tree that keeps changing is not chased.
  while (!pending_.empty()) {
    const std::string folder = std::move(pending_.back());
    pending_.pop_back();
    look_into(folder);
    if (!pending_.empty() && std::chrono::steady_clock::now() >= until) return false;
  }
  if (named_.refresh(settings_)) take_up_named();
  return true;
}

void ProtectedIndex::look() {
  begin();
  while (!advance(std::chrono::seconds(1))) {
  }
}

std::shared_ptr<const ProtectedPaths> ProtectedIndex::found() {
  const std::lock_guard lock(mutex_);
  if (found_ && watching_ && telling_) return found_;
  auto present = std::make_shared<ProtectedPaths>();
  for (const auto& [path, known] : known_) look_up(path, known, *present);
  using How = NamedByGit::How;
  for (const auto how : {How::target, How::link, How::around}) {
    for (const auto& [path, named] : named_.paths()) {
      if (named.how != how) continue;
      const bool around = how == How::around;
      const auto hold = around ? ProtectedPath::Hold::pinned : ProtectedPath::Hold::read_only;
      const auto by_name = known_.find(path);
      if (by_name != known_.end() && (around || by_name->second.hold == hold)) continue;
      look_up(path, {.hold = hold, .on_the_way = around}, *present);
    }
  }
  // A folder that is held open below one that is held shut would open that again.
  std::vector<std::string> open_below;
  for (const auto& [path, held] : *present) {
    if (held.hold == ProtectedPath::Hold::pinned && is_held_above(*present, path))
      open_below.push_back(path);
  }
  for (const auto& path : open_below) present->erase(path);
  found_ = std::move(present);
  return found_;
}

void ProtectedIndex::look_up(const std::string& path, ProtectedPath wanted,
                             ProtectedPaths& present) {
  struct stat seen {};
  if (::lstat(path.c_str(), &seen) != 0) return;
  if (!S_ISDIR(seen.st_mode) && !S_ISREG(seen.st_mode)) wanted.hold = ProtectedPath::Hold::watched;
  wanted.folder = S_ISDIR(seen.st_mode);
  wanted.device = seen.st_dev;
  wanted.inode = seen.st_ino;
  wanted.changed_ns = wanted.hold == ProtectedPath::Hold::watched ? changed_ns_of(seen) : 0;
  present[path] = wanted;
}

std::string ProtectedIndex::named_by_git(const std::string& path) {
  const std::lock_guard lock(mutex_);
  for (std::string at = path; at.size() > root_.size(); at.resize(at.rfind('/'))) {
    const auto named = named_.paths().find(at);
    if (named == named_.paths().end()) continue;
    const bool link = named->second.how == NamedByGit::How::link && at == path;
    if (link || named->second.how == NamedByGit::How::target) return named->second.why;
  }
  return {};
}

// What was named may lie where the walk does not go, and is heard of from now on.
void ProtectedIndex::take_up_named() {
  found_.reset();
  for (const auto& [path, named] : named_.paths()) {
    watch_above(path);
    if (named.how != NamedByGit::How::link) watch(path);
  }
}

void ProtectedIndex::doubt() {
  const std::lock_guard lock(mutex_);
  found_.reset();
  named_.doubt(root_);
}

void ProtectedIndex::start_over() {
  struct stat seen {};
  const bool there = ::lstat(root_.c_str(), &seen) == 0;
  root_device_ = there ? seen.st_dev : 0;
  root_inode_ = there ? seen.st_ino : 0;
  pending_.assign(1, root_);
  known_.clear();
  named_.clear();
  found_.reset();
  watched_.clear();
  inotify_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  watching_ = static_cast<bool>(inotify_);
  telling_ = true;
  device_ = 0;
  n_unread_ = 0;
  // A repository around the root names paths in it as well.
  for (size_t end = root_.rfind('/'); end != std::string::npos && end > 0;
       end = root_.rfind('/', end - 1)) {
    const std::string above = root_.substr(0, end) + "/.git";
    if (::lstat(above.c_str(), &seen) == 0) named_.add(above);
  }
}

// Those that were there when the look began; false when there was no time for all of them.
bool ProtectedIndex::read_events(std::chrono::steady_clock::time_point until) {
  alignas(inotify_event) char buffer[16 * 1024];
  while (n_unread_ > 0) {
    const ssize_t size = ::read(inotify_.get(), buffer, sizeof buffer);
    n_unread_ = size > 0 ? n_unread_ - size : 0;
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      const std::string_view name(event->len > 0 ? event->name : "");
      const auto folder = watched_.find(event->wd);
      // A folder that moves takes its watches along under their old names.
      const bool moved = (event->mask & IN_ISDIR) != 0 && (event->mask & IN_MOVED_FROM) != 0;
      if ((event->mask & (IN_Q_OVERFLOW | IN_UNMOUNT)) != 0 ||
          (moved && folder != watched_.end())) {
        start_over();
        return true;
      }
      if (folder == watched_.end()) continue;
      if ((event->mask & IN_IGNORED) != 0) {
        watched_.erase(folder);
        continue;
      }
      hear(folder->second, name, event->mask);
    }
    if (n_unread_ > 0 && std::chrono::steady_clock::now() >= until) return false;
  }
  return true;
}

void ProtectedIndex::hear(const std::string& folder, std::string_view name, uint32_t mask) {
  const bool made_folder = (mask & IN_ISDIR) != 0 && (mask & (IN_CREATE | IN_MOVED_TO)) != 0;
  std::string path = folder + "/" + std::string(name);
  if (known_.count(path) != 0) found_.reset();
  named_.doubt(path);
  if (event_matters(folder, name, mask)) pending_.push_back(folder);
  if (name == "attributes" && last_part(folder) == "info") {
    pending_.push_back(folder.substr(0, folder.rfind('/')));
  }
  if (made_folder) pending_.push_back(std::move(path));
}

bool ProtectedIndex::event_matters(std::string_view folder, std::string_view name,
                                   uint32_t mask) const {
  if ((mask & (IN_CREATE | IN_MOVED_TO)) == 0) return false;  // what is gone, found() sees
  return is_repository_name(name) || name == "HEAD" || name == "objects" || name == "info" ||
         name == "attributes" || !protection_in(last_part(folder), name).empty() ||
         is_held_in_repository(name);
}

void ProtectedIndex::look_into(const std::string& folder) {
  // Watched before it is read: what is made in between shows up as an event.
  watch(folder);
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return;
  trust_events_of(fd.get());
  FolderStream stream(std::move(fd));
  if (!stream) return;
  bool has_head = false, has_objects = false, has_refs = false;
  std::vector<std::string> folders;
  while (const dirent* entry = stream.next()) {
    const std::string_view name(entry->d_name);
    has_head = has_head || name == "HEAD";
    has_objects = has_objects || name == "objects";
    has_refs = has_refs || name == "refs";
    const bool is_directory = is_folder(folder, *entry);
    const bool held = !protection_in(last_part(folder), name).empty();
    // By its folder's name alone, which must then stay as well.
    if (held && protection_of_name(name).empty() && folder != root_) {
      note(folder, ProtectedPath::Hold::pinned);
    }
    if (held || (is_repository_name(name) && !is_directory)) {
      note(folder + "/" + entry->d_name, ProtectedPath::Hold::read_only);
      if (is_repository_name(name)) named_.add(folder + "/" + entry->d_name);
    } else if (is_directory) {
      folders.push_back(folder + "/" + entry->d_name);
    }
  }
  const bool repository =
      is_repository_name(last_part(folder)) || (has_head && has_objects && has_refs);
  if (repository) note_repository(folder);
  for (auto& inner : folders) {
    if (!repository || !is_content_of_repository(last_part(inner)))
      pending_.push_back(std::move(inner));
  }
}

void ProtectedIndex::watch(const std::string& folder) {
  if (!watching_) return;
  const int watch = ::inotify_add_watch(inotify_.get(), folder.c_str(), kEvents);
  if (watch >= 0) {
    watched_[watch] = folder;
  } else if (errno == ENOSPC || errno == ENOMEM) {
    watching_ = false;
  } else if (errno != ENOENT && errno != ENOTDIR) {
    telling_ = false;
  }
}

// Every folder between the root and `path`, also where the walk does not go.
void ProtectedIndex::watch_above(const std::string& path) {
  for (size_t end = path.rfind('/'); end != std::string::npos && end > root_.size();
       end = path.rfind('/', end - 1)) {
    watch(path.substr(0, end));
  }
}

void ProtectedIndex::trust_events_of(int folder) {
  struct stat seen {};
  if (!telling_ || ::fstat(folder, &seen) != 0 || seen.st_dev == device_) return;
  device_ = seen.st_dev;
  struct statfs system {};
  telling_ = ::fstatfs(folder, &system) == 0 && tells_of_changes(system.f_type);
}

void ProtectedIndex::note_repository(const std::string& folder) {
  if (folder != root_) note(folder, ProtectedPath::Hold::pinned);
  for (const char* name : {"hooks", "config", "config.worktree", "commondir"}) {
    note(folder + "/" + name, ProtectedPath::Hold::read_only);
  }
  note(folder + "/info/attributes", ProtectedPath::Hold::read_only);
  watch_above(folder + "/info/attributes");
  named_.add(folder);
}

void ProtectedIndex::note(const std::string& path, ProtectedPath::Hold hold) {
  struct stat seen {};
  if (::lstat(path.c_str(), &seen) != 0) return;
  const bool holdable = S_ISDIR(seen.st_mode) || S_ISREG(seen.st_mode);
  found_.reset();
  known_[path] = {.hold = holdable ? hold : ProtectedPath::Hold::watched,
                  .folder = S_ISDIR(seen.st_mode),
                  .device = seen.st_dev,
                  .inode = seen.st_ino};
  if (!S_ISLNK(seen.st_mode)) return;
  // What a link leads to within the root is as good as the link itself.
  std::error_code error;
  const auto target = std::filesystem::canonical(path, error).string();
  if (error || target.compare(0, root_.size() + 1, root_ + "/") != 0) return;
  watch_above(target);
  note(target, hold);
}

std::vector<std::filesystem::path> changes_between(const ProtectedPaths& before,
                                                   const ProtectedPaths& after) {
  std::vector<std::filesystem::path> changes;
  const auto add = [&](const std::string& path, const ProtectedPath& what) {
    if (what.on_the_way) return;
    for (const auto& known : changes) {
      const auto& above = known.native();
      if (path.compare(0, above.size(), above) == 0 &&
          (path.size() == above.size() || path[above.size()] == '/'))
        return;
    }
    changes.emplace_back(path);
  };
  for (const auto& [path, now] : after) {
    const auto old = before.find(path);
    if (old == before.end() || !(old->second == now)) add(path, now);
  }
  for (const auto& [path, old] : before) {
    if (after.count(path) == 0) add(path, old);
  }
  return changes;
}

}  // namespace sable::sandbox
