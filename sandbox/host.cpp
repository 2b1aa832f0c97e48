#include "sandbox/host.h"

#include <cerrno>
#include <cstdio>
#include <memory>
#include <mutex>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <unordered_map>

namespace sable::sandbox {

namespace {

namespace fs = std::filesystem;

PathFacts look_up(const fs::path& path) {
  PathFacts facts;
  std::error_code error;
  fs::path walked;
  for (const auto& part : path) {
    walked /= part;
    if (fs::is_symlink(fs::symlink_status(walked, error))) {
      facts.first_link = walked;
      break;
    }
  }
  if (facts.first_link == path) facts.link_text = fs::read_symlink(path, error).string();

  // Without a link on the way the path is its own canonical form.
  facts.canonical = facts.first_link.empty() ? path : fs::canonical(path, error);
  struct stat seen {};
  if (error || ::lstat(facts.canonical.c_str(), &seen) != 0) {
    const bool absent =
        error ? error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory
              : errno == ENOENT || errno == ENOTDIR;
    facts.kind = absent ? PathFacts::Kind::missing : PathFacts::Kind::unreadable;
    facts.canonical.clear();
    return facts;
  }
  facts.device = seen.st_dev;
  facts.inode = seen.st_ino;
  if (S_ISDIR(seen.st_mode)) {
    facts.kind = PathFacts::Kind::folder;
  } else if (S_ISREG(seen.st_mode)) {
    facts.kind = PathFacts::Kind::file;
  } else if (S_ISCHR(seen.st_mode)) {
    facts.kind = PathFacts::Kind::device;
  } else {
    facts.kind = PathFacts::Kind::other;
  }
  return facts;
}

// The system's pieces are asked for with every call and hardly ever change.
class RememberedLookUp {
 public:
  PathFacts operator()(const std::string& path) {
    struct stat seen {};
    // What the kernel tells about itself in /proc stays as long as it runs.
    const bool lasts = path.compare(0, 6, "/proc/") == 0;
    if (!lasts && ::lstat(path.c_str(), &seen) != 0) return {};
    const std::lock_guard lock(mutex_);
    const auto [known, is_new] = entries_.try_emplace(path);
    Entry& entry = known->second;
    if (is_new || entry.device != seen.st_dev || entry.inode != seen.st_ino ||
        entry.changed_s != seen.st_ctim.tv_sec || entry.changed_ns != seen.st_ctim.tv_nsec) {
      entry = {look_up(path), seen.st_dev, seen.st_ino, seen.st_ctim.tv_sec, seen.st_ctim.tv_nsec};
    }
    return entry.facts;
  }

 private:
  struct Entry {
    PathFacts facts;
    uint64_t device = 0, inode = 0;
    int64_t changed_s = 0, changed_ns = 0;
  };
  std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
};

// The pid namespaces of older kernels share the host's pid_max, and there root's write would change
// it for the whole machine: so the version decides, not a trial.
bool pid_max_is_namespaced() {
  utsname name{};
  int major = 0, minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &major, &minor) != 2) return false;
  return major > 6 || (major == 6 && minor >= 14);
}

}  // namespace

Host this_host() {
  Host host;
  host.user = ::geteuid();
  host.group = ::getegid();
  constexpr unsigned kVersionQuery = 1;
  const long abi = ::syscall(444 /* landlock_create_ruleset */, nullptr, 0, kVersionQuery);
  host.landlock_abi = abi > 0 ? static_cast<int>(abi) : 0;
  host.own_pid_max = pid_max_is_namespaced();
  host.look_up = look_up;
  host.look_up_system = [remembered = std::make_shared<RememberedLookUp>()](
                            const std::string& path) { return (*remembered)(path); };
  return host;
}

Host with_mounted_system(const Host& host) {
  Host result = host;
  using Known = std::unordered_map<std::string, PathFacts>;
  result.look_up_system = [ask = host.look_up_system,
                           known = std::make_shared<Known>()](const std::string& path) {
    const auto [entry, is_new] = known->try_emplace(path);
    if (is_new) entry->second = ask(path);
    return entry->second;
  };
  return result;
}

}  // namespace sable::sandbox
