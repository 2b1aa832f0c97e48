#include "sandbox/protected_paths.h"

#include <algorithm>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "sandbox/protected_names.h"

namespace sable::sandbox {

namespace {

constexpr uint32_t kEvents = IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR |
                             IN_DONT_FOLLOW | IN_EXCL_UNLINK;

struct FolderCloser {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

bool is_folder(const std::string& parent, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
  struct stat seen {};
  return ::lstat((parent + "/" + entry.d_name).c_str(), &seen) == 0 && S_ISDIR(seen.st_mode);
}

int64_t changed_ns_of(const struct stat& seen) {
  return seen.st_ctim.tv_sec * 1'000'000'000 + seen.st_ctim.tv_nsec;
}

std::string_view last_part(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

}  // namespace

ProtectedIndex::ProtectedIndex(std::filesystem::path root)
    : root_(root.string()), inotify_(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)) {
  watching_ = static_cast<bool>(inotify_);
  pending_.push_back(root_);
}

bool ProtectedIndex::advance(std::chrono::microseconds slice) {
  const std::lock_guard lock(mutex_);
  const auto until = std::chrono::steady_clock::now() + slice;
  if (pending_.empty()) {
    if (!watching_) start_over();
    read_events();
  }
  while (!pending_.empty()) {
    const std::string folder = std::move(pending_.back());
    pending_.pop_back();
    look_into(folder);
    if (pending_.empty()) {
      // What happened while we looked is looked at too, but a tree that keeps changing ends the
      // chase: the next look sees the rest.
      if (!fresh_) fresh_ = true;
      break;
    }
    if (std::chrono::steady_clock::now() >= until) return false;
  }
  return true;
}

ProtectedPaths ProtectedIndex::found() const {
  const std::lock_guard lock(mutex_);
  ProtectedPaths present;
  for (const auto& [path, known] : found_) {
    struct stat seen {};
    if (::lstat(path.c_str(), &seen) != 0) continue;
    ProtectedPath now = known;
    now.folder = S_ISDIR(seen.st_mode);
    now.device = seen.st_dev;
    now.inode = seen.st_ino;
    now.changed_ns = now.hold == ProtectedPath::Hold::watched ? changed_ns_of(seen) : 0;
    present.emplace(path, now);
  }
  return present;
}

void ProtectedIndex::start_over() {
  pending_.assign(1, root_);
  found_.clear();
  watched_.clear();
  fresh_ = false;
  inotify_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  watching_ = static_cast<bool>(inotify_);
}

void ProtectedIndex::read_events() {
  alignas(inotify_event) char buffer[16 * 1024];
  while (watching_ && pending_.size() < 10'000) {
    const ssize_t size = ::read(inotify_.get(), buffer, sizeof buffer);
    if (size <= 0) return;
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      if ((event->mask & IN_Q_OVERFLOW) != 0) return start_over();
      const auto folder = watched_.find(event->wd);
      if (folder == watched_.end()) continue;
      if ((event->mask & IN_IGNORED) != 0) {
        watched_.erase(folder);
        continue;
      }
      const std::string_view name(event->len > 0 ? event->name : "");
      // A folder that moves takes its watches along under their old names.
      if ((event->mask & IN_ISDIR) != 0 && (event->mask & IN_MOVED_FROM) != 0) return start_over();
      if (event_matters(name, event->mask)) pending_.push_back(folder->second);
      if ((event->mask & IN_ISDIR) != 0 && (event->mask & (IN_CREATE | IN_MOVED_TO)) != 0) {
        pending_.push_back(folder->second + "/" + std::string(name));
      }
    }
  }
}

bool ProtectedIndex::event_matters(std::string_view name, uint32_t mask) const {
  if ((mask & (IN_CREATE | IN_MOVED_TO)) == 0) return false;  // what is gone is noticed by found()
  return is_repository_name(name) || name == "HEAD" || name == "objects" || name == "info" ||
         name == "attributes" || !protection_of_name(name).empty() || is_held_in_repository(name);
}

void ProtectedIndex::look_into(const std::string& folder) {
  // Watched before it is read: what is made in between shows up as an event.
  if (watching_) {
    const int watch = ::inotify_add_watch(inotify_.get(), folder.c_str(), kEvents);
    if (watch >= 0) {
      watched_[watch] = folder;
    } else if (errno == ENOSPC || errno == ENOMEM) {
      watching_ = false;
    }
  }
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return;
  const std::unique_ptr<DIR, FolderCloser> stream(::fdopendir(fd));
  if (!stream) {
    ::close(fd);
    return;
  }
  bool has_head = false, has_objects = false, has_refs = false;
  std::vector<std::string> folders;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name(entry->d_name);
    if (name == "." || name == "..") continue;
    has_head = has_head || name == "HEAD";
    has_objects = has_objects || name == "objects";
    has_refs = has_refs || name == "refs";
    const bool is_directory = is_folder(folder, *entry);
    if (!protection_of_name(name).empty() || (is_repository_name(name) && !is_directory)) {
      note(folder + "/" + entry->d_name, ProtectedPath::Hold::read_only);
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

void ProtectedIndex::note_repository(const std::string& folder) {
  if (folder != root_) note(folder, ProtectedPath::Hold::pinned);
  for (const char* name : {"hooks", "config", "config.worktree", "commondir"}) {
    note(folder + "/" + name, ProtectedPath::Hold::read_only);
  }
  note(folder + "/info/attributes", ProtectedPath::Hold::read_only);
  // Linked worktrees have settings of their own, and a pointer to where the others are.
}

void ProtectedIndex::note(const std::string& path, ProtectedPath::Hold hold) {
  struct stat seen {};
  if (::lstat(path.c_str(), &seen) != 0) return;
  const bool holdable = S_ISDIR(seen.st_mode) || S_ISREG(seen.st_mode);
  found_[path] = {.hold = holdable ? hold : ProtectedPath::Hold::watched,
                  .folder = S_ISDIR(seen.st_mode),
                  .device = seen.st_dev,
                  .inode = seen.st_ino};
  if (!S_ISLNK(seen.st_mode)) return;
  // What a link leads to within the root is as good as the link itself.
  std::error_code error;
  const auto target = std::filesystem::canonical(path, error).string();
  if (!error && target.compare(0, root_.size() + 1, root_ + "/") == 0) note(target, hold);
}

std::vector<std::filesystem::path> changes_between(const ProtectedPaths& before,
                                                   const ProtectedPaths& after) {
  std::vector<std::filesystem::path> changes;
  const auto add = [&](const std::filesystem::path& path) {
    for (const auto& known : changes) {
      const auto [end, unused] =
          std::mismatch(known.begin(), known.end(), path.begin(), path.end());
      if (end == known.end()) return;
    }
    changes.push_back(path);
  };
  for (const auto& [path, now] : after) {
    const auto old = before.find(path);
    if (old == before.end() || !(old->second == now)) add(path);
  }
  for (const auto& [path, old] : before) {
    if (after.count(path) == 0) add(path);
  }
  return changes;
}

}  // namespace sable::sandbox
